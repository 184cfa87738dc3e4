// Sends requests with the session token.

// The newest token is in this variable alone: not in a cookie, not in storage, not in an address.
let token = document.querySelector('meta[name="session-token"]')?.content ?? "";

export async function send(path, { accept = "text/html", ...options } = {}) {
  const headers = { Accept: accept, Authorization: `Bearer ${token}` };
  const response = await fetch(path, { ...options, headers, credentials: "omit", redirect: "error" });
  token = response.headers.get("X-Session-Token") ?? token;
  return response;
}
