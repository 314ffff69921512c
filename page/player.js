// The page's players: a sound, the plots that show where it is, and the buttons that start it. What
// belongs to a sound of its own stands inside [data-audio=ID]; all else belongs to the recording.
(() => {
  const soundOf = (element) => document.getElementById(element.closest("[data-audio]")?.dataset.audio ?? "heard");
  let until = Infinity;

  const told = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;

  function show() {
    const heard = document.getElementById("heard");
    if (heard && heard.currentTime >= until) { heard.pause(); until = Infinity; }
    for (const area of document.querySelectorAll(".area[data-from]")) {
      const now = soundOf(area)?.currentTime ?? 0;
      const from = +area.dataset.from, to = +area.dataset.to;
      const cursor = area.querySelector(".cursor");
      cursor.style.display = now > 0 && now >= from && now <= to ? "block" : "none";
      cursor.style.left = `${(100 * (now - from)) / (to - from)}%`;
      area.setAttribute("aria-valuenow", Math.min(Math.max(now, from), to).toFixed(1));
      area.setAttribute("aria-valuetext", told(now));
    }
    for (const button of document.querySelectorAll("[data-toggle]")) {
      button.textContent = soundOf(button)?.paused ?? true ? "▶" : "❚❚";
    }
    for (const clock of document.querySelectorAll("[data-clock]")) {
      const audio = soundOf(clock);
      if (audio?.duration) clock.textContent = `${told(audio.currentTime)} / ${told(audio.duration)}`;
    }
    if ([...document.querySelectorAll("audio")].some((audio) => !audio.paused)) requestAnimationFrame(show);
  }

  function play(audio, from, to) {
    if (!audio) return;
    until = to;
    document.querySelectorAll("audio").forEach((other) => { if (other !== audio) other.pause(); });
    if (from !== null) audio.currentTime = from;
    audio.play();
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-play]");
    const toggle = event.target.closest("[data-toggle]");
    const area = event.target.closest(".area[data-from]");
    if (chip) {
      play(soundOf(chip), +chip.dataset.play, +chip.dataset.until);
    } else if (toggle) {
      const audio = soundOf(toggle);
      audio?.paused ? play(audio, null, Infinity) : audio?.pause();
    } else if (area) {
      const box = area.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      play(soundOf(area), +area.dataset.from + share * (area.dataset.to - area.dataset.from), Infinity);
    }
  });
  document.addEventListener("keydown", (event) => {
    const area = event.target.closest?.(".area[data-from]");
    const audio = area && soundOf(area);
    const step = { ArrowLeft: -0.5, ArrowRight: 0.5 }[event.key];
    if (!audio || (!step && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    const from = +area.dataset.from, to = +area.dataset.to;
    const now = audio.currentTime < from || audio.currentTime > to ? from : audio.currentTime;
    if (step) audio.currentTime = Math.min(Math.max(now + step, from), to);
    else if (audio.paused) play(audio, now, Infinity);
    else audio.pause();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-heat]")) {
      event.target.closest(".panel").classList.toggle("no-heat", !event.target.checked);
    }
  });
  // panels come and go: a player that is new learns the time that the sound has already
  new MutationObserver(() => {
    const audio = document.getElementById("heard");
    if (audio?.duration && document.querySelector("[data-clock]:empty")) show();
  }).observe(document, { childList: true, subtree: true });
  for (const name of ["play", "pause", "seeked", "loadedmetadata"]) {
    document.addEventListener(name, show, true); // media events do not bubble: catch them on the way
  }
})();
