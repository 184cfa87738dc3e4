// Files: fetched with the token in a header, then handed to the browser as if from a link.

let page = null;

export function wake(parts) {
  if (!page) document.addEventListener("click", clicked);
  page = parts;
}

async function clicked(event) {
  const button = event.target.closest("[data-download]");
  if (!button || button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await download(button);
  } catch {
    page.complain("offline");
  } finally {
    button.removeAttribute("aria-busy");
  }
}

async function download(button) {
  const answer = await page.send(button.dataset.download, { accept: "*/*" });
  if (!answer.ok) return page.complain(answer.status === 401 ? "session_missing" : "strange_answer");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = button.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
