// Comforts only: every page works without this file.

// A file dropped on the field is the file chosen in it; its name is shown in the page's own words, not the browser's.
for (const zone of document.querySelectorAll(".drop")) {
  const input = zone.querySelector("input[type=file]");
  const chosen = zone.querySelector(".chosen");
  const show = () => { chosen.textContent = [...input.files].map((file) => file.name).join(", "); };
  zone.classList.add("live");
  input.addEventListener("change", show);
  addEventListener("pageshow", show);
  const over = (on) => (event) => { event.preventDefault(); zone.classList.toggle("over", on); };
  zone.addEventListener("dragenter", over(true));
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; show(); }
  });
}

// A form is sent once: stamping twice helps nobody.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    for (const button of form.querySelectorAll("button")) { button.setAttribute("aria-disabled", "true"); }
  });
}

// Coming back with the browser's own button finds a form that can be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) { button.removeAttribute("aria-disabled"); }
  }
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
