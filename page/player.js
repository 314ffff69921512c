// One clock for the page: plays the recording, moves a cursor over every plot, seeks on a click.
(() => {
  const sound = () => document.querySelector("#heard");
  let until = Infinity;

  const told = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

  function show() {
    const audio = sound();
    if (!audio) return;
    const now = audio.currentTime;
    if (now >= until) { audio.pause(); until = Infinity; }
    for (const area of document.querySelectorAll(".area[data-from]")) {
      const from = +area.dataset.from, to = +area.dataset.to;
      const cursor = area.querySelector(".cursor");
      cursor.style.display = now > 0 && now >= from && now <= to ? "block" : "none";
      cursor.style.left = `${(100 * (now - from)) / (to - from)}%`;
    }
    document.querySelectorAll("[data-toggle]").forEach((b) => { b.textContent = audio.paused ? "▶" : "❚❚"; });
    if (audio.duration) {
      document.querySelectorAll("[data-clock]").forEach((c) => { c.textContent = `${told(now)} / ${told(audio.duration)}`; });
    }
    if (!audio.paused) requestAnimationFrame(show);
  }

  function play(from, to) {
    const audio = sound();
    if (!audio) return;
    until = to;
    audio.currentTime = from;
    audio.play();
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-play]");
    const area = event.target.closest(".area[data-from]");
    if (chip) {
      play(+chip.dataset.play, +chip.dataset.until);
    } else if (event.target.closest("[data-toggle]")) {
      const audio = sound();
      until = Infinity;
      audio.paused ? audio.play() : audio.pause();
    } else if (area) {
      const box = area.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      play(+area.dataset.from + share * (area.dataset.to - area.dataset.from), Infinity);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-heat]")) {
      event.target.closest(".panel").classList.toggle("no-heat", !event.target.checked);
    }
  });
  for (const name of ["play", "pause", "seeked", "loadedmetadata"]) {
    document.addEventListener(name, show, true); // media events do not bubble: catch them on the way
  }
})();
