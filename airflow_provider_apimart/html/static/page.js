"use strict";
// The pages work without this script: it only makes them move, load more and follow Airflow's theme.

const root = document.documentElement;
const framed = window.parent !== window;

function followTheme() {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    else delete root.dataset.theme;
  } catch { /* Storage may be closed to frames. */ }
}

function toLocalTimes(within) {
  for (const time of within.querySelectorAll("time:not([title])")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    time.title = time.textContent;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

// A frame of Airflow may neither leave its place nor download; its parent may, on behalf of the same link.
function leaveFrame(event) {
  const link = event.target.closest?.("a[data-airflow], a[data-download], a.home");
  if (!link || !framed || event.defaultPrevented || event.button !== 0) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  if (link.dataset.download) outside.download = link.dataset.download;
  window.parent.document.body.append(outside);
  outside.click();
  outside.remove();
}

function loadWhenNear(video) {
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    video.preload = "metadata";
    video.load();
  }, { rootMargin: "200px" }).observe(video);
}

function prepare(within) {
  toLocalTimes(within);
  within.querySelectorAll("video[data-lazy]").forEach(loadWhenNear);
}

function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

function loadMore(cards) {
  const link = () => document.querySelector('.pages a[rel="next"]');
  let isLoading = false;
  const observer = new IntersectionObserver(async (entries) => {
    if (isLoading || !link() || !entries.some((entry) => entry.isIntersecting)) return;
    isLoading = true;
    observer.unobserve(link());
    try {
      const reply = await fetch(link().href, { headers: { Accept: "text/html" } });
      if (!reply.ok || reply.redirected) return;
      const page = parsed(await reply.text());
      const more = [...page.querySelectorAll(".cards > .card")].map((card) => document.importNode(card, true));
      cards.append(...more);
      more.forEach(prepare);
      const next = page.querySelector('.pages a[rel="next"]');
      if (next) link().href = new URL(next.getAttribute("href"), link().href).href;
      else link().remove();
    } catch { return; /* The link stays, and can be clicked. */ }
    isLoading = false;
    if (link()) observer.observe(link());
  }, { rootMargin: "1200px" });
  if (link()) observer.observe(link());
}

function keepLive(list) {
  const seconds = 3;
  async function refresh() {
    const live = [...list.querySelectorAll("[data-is-live]")].map((row) => row.dataset.work);
    if (!live.length) return;
    if (!document.hidden) {
      try {
        const query = new URLSearchParams(live.map((id) => ["work", id]));
        const reply = await fetch(`${list.dataset.live}?${query}`, { headers: { Accept: "application/json" } });
        if (reply.ok) for (const [id, work] of Object.entries(await reply.json())) replace(id, work);
      } catch { /* The next time, perhaps. */ }
    }
    setTimeout(refresh, seconds * 1000);
  }
  function replace(id, work) {
    const old = [...list.children].find((row) => row.dataset.work === id);
    const row = parsed(work.html).querySelector(".work");
    if (!old || !row || old.contains(document.activeElement)) return;
    const bars = [...old.querySelectorAll(".bar rect")].map((rect) => [rect.getAttribute("x"), rect.getAttribute("width")]);
    const fresh = document.importNode(row, true);
    animate(fresh.querySelectorAll(".bar rect"), bars);
    old.replaceWith(fresh);
    toLocalTimes(fresh);
    if (list.classList.contains("single")) showNewest(!work.live);
  }
  // What has been made since, as long as nobody has scrolled or plays something.
  async function showNewest(isOver) {
    if (isOver) { location.reload(); return; }
    const cards = document.querySelector(".cards");
    const isBusy = [...document.querySelectorAll("video, audio")].some((each) => !each.paused);
    if (!cards || scrollY > 200 || isBusy || cards.contains(document.activeElement)) return;
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!reply.ok || reply.redirected) return;
    const page = parsed(await reply.text());
    const known = new Map([...cards.children].map((card) => [address(card), card]));
    const shown = [...page.querySelectorAll(".cards > .card")].map((card) => {
      const same = known.get(address(card));
      return same && same.querySelector(".media").className === card.querySelector(".media").className ? same : document.importNode(card, true);
    });
    cards.replaceChildren(...shown);
    shown.filter((card) => ![...known.values()].includes(card)).forEach(prepare);
    const total = page.querySelector(".total");
    if (total) document.querySelector(".total")?.replaceWith(document.importNode(total, true));
  }
  const address = (card) => card.querySelector("h3 a").getAttribute("href");
  function animate(rects, bars) {
    rects.forEach((rect, number) => {
      const now = [rect.getAttribute("x") ?? "0", rect.getAttribute("width")];
      const [x, width] = bars[number] ?? now;
      rect.setAttribute("x", x ?? "0");
      rect.setAttribute("width", width);
      requestAnimationFrame(() => requestAnimationFrame(() => {
        rect.setAttribute("x", now[0]);
        rect.setAttribute("width", now[1]);
      }));
    });
  }
  setTimeout(refresh, seconds * 1000);
}

function keys(event) {
  if (event.target.matches("input, select, textarea, video, audio") || event.ctrlKey || event.metaKey || event.altKey) return;
  const follow = (rel) => document.querySelector(`.steps a[rel="${rel}"], .crumbs a[rel="${rel}"]`)?.click();
  if (event.key === "ArrowLeft") follow("prev");
  else if (event.key === "ArrowRight") follow("next");
  else if (event.key === "Escape") follow("up");
  else if (event.key === "/") {
    const search = document.querySelector('input[type="search"]');
    if (search) { search.focus(); event.preventDefault(); }
  }
}

// Before anything is drawn.
followTheme();
root.classList.add("scripted");
root.classList.toggle("framed", framed);
addEventListener("storage", followTheme);
addEventListener("DOMContentLoaded", () => {
  document.addEventListener("click", leaveFrame);
  document.addEventListener("keydown", keys);
  document.addEventListener("change", (event) => { if (event.target.matches(".filters select")) event.target.form.requestSubmit(); });
  prepare(document);
  document.querySelectorAll("[data-live]").forEach(keepLive);
  document.querySelectorAll(".cards").forEach(loadMore);
});
