// Sends requests with the session token.

// The newest token is kept only in this variable: not in a cookie, storage or URL.
let token = document.querySelector('meta[name="session-token"]')?.content ?? "";

export async function send(path, { accept = "text/html", ...options } = {}) {
  const headers = { Accept: accept, Authorization: `Bearer ${token}` };
  const response = await fetch(path, { ...options, headers, credentials: "omit", redirect: "error" });
  token = response.headers.get("X-Session-Token") ?? token;
  return response;
}
