// Choosing a recording: what is too large is refused before it is sent, and a file that is dropped
// anywhere takes the place of the one that is there.
const named = (name) => {
  const told = document.createElement("b");
  told.textContent = name;
  return told.innerHTML;
};
(() => {
  const input = () => document.querySelector("#recording input[type=file]");

  function refused(file) {
    const told = document.getElementById("refused");
    const most = +told.dataset.mostBytes;
    told.hidden = file.size <= most;
    told.textContent = told.hidden ? "" : `${file.name} has ${Math.ceil(file.size / 2 ** 20)} MB, and ` +
      `${most / 2 ** 20} MB can be taken: please cut it, or convert it to MP3, M4A or Opus.`;
    return !told.hidden;
  }

  async function replace(files) {
    document.querySelector("#recording button[aria-label='Clear']")?.click();
    for (let tries = 0; !input() && tries < 50; tries++) await new Promise((done) => setTimeout(done, 20));
    input().files = files;
    input().dispatchEvent(new Event("change", { bubbles: true }));
  }

  document.addEventListener("change", (event) => {
    const file = event.target === input() && event.target.files[0];
    if (!file || !refused(file)) return;
    event.target.value = "";
    event.stopImmediatePropagation();
  }, true);
  document.addEventListener("dragover", (event) => event.preventDefault(), true);
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    replace(event.dataTransfer.files);
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-cancel]")) document.getElementById("cancel").click();
  });
})();
