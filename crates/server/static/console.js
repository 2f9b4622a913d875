// What the browser has nothing of its own for: life, keys, copying, times. Every page works without it.
"use strict";
(() => {
  const body = document.body;
  const all = (what, from = document) => Array.from(from.querySelectorAll(what));
  const one = (what) => document.querySelector(what);

  for (const hint of all("[data-script-only]")) hint.hidden = false;

  // Times: how long ago on screen; the exact local time and UTC on hover.
  const coarse = (seconds) => {
    if (seconds < 100) return `${Math.floor(seconds)} s`;
    if (seconds < 6000) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  };
  const fine = (seconds) => {
    const pair = (great, unit, small, smaller) => (small ? `${great} ${unit} ${small} ${smaller}` : `${great} ${unit}`);
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
    if (seconds < 86400) return pair(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
    return pair(Math.floor(seconds / 86400), "d", Math.floor((seconds % 86400) / 3600), "h");
  };
  const utc = (at) => at.toISOString().replace("T", " ").slice(0, 19) + " UTC";
  const tell = () => {
    const now = Date.now();
    for (const time of all("time[data-ago], time[data-left]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const seconds = (now - at.getTime()) / 1000;
      let text;
      if (time.hasAttribute("data-left")) text = fine(Math.max(0, Math.floor(-seconds)));
      else if (seconds < -60) text = `in ${coarse(-seconds)}`;
      else text = seconds < 2 ? "now" : `${coarse(seconds)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  };
  for (const time of all("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.title = `${at.toLocaleString()} here · ${utc(at)}`;
  }
  tell();
  setInterval(tell, 1000);

  // Copying.
  for (const source of all("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", `copy ${source.dataset.copy}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.dataset.copy);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "press Ctrl+C";
      }
      setTimeout(() => { button.textContent = "copy"; }, 2000);
    });
    source.after(button);
  }

  // A form is sent once.
  for (const form of all('form[method="post"]')) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
      form.setAttribute("aria-busy", "true");
    });
  }
  addEventListener("pageshow", () => {
    for (const form of all("form[data-sent]")) { delete form.dataset.sent; form.removeAttribute("aria-busy"); }
  });

  // Keys.
  let row = -1;
  let leader = 0;
  const rows = () => all("[data-row]");
  const move = (by) => {
    const list = rows();
    if (!list.length) return;
    if (list[row]) list[row].classList.remove("here");
    row = Math.min(list.length - 1, Math.max(0, row + by));
    const here = list[row];
    here.classList.add("here");
    const link = here.querySelector("a[href]");
    if (link) link.focus({ preventScroll: true });
    here.scrollIntoView({ block: "nearest" });
  };
  const places = { o: "/", i: "/incidents?state=open", a: "/assets", j: "/journal", s: "/settings" };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const led = Date.now() - leader < 1500;
    leader = 0;
    if (led && places[event.key]) { location.href = places[event.key]; return; }
    switch (event.key) {
      case "/": {
        const search = one("[data-search]");
        event.preventDefault();
        if (search) { search.focus(); search.select(); } else { location.href = "/incidents"; }
        break;
      }
      case "g": leader = Date.now(); break;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "n": { const news = one(".news:not([hidden]) a"); if (news) news.click(); break; }
      case "?": one("#keys")?.showModal(); break;
      default: return;
    }
  });

  // Life. News waits behind a bar; figures change in their place; nothing moves under the cursor.
  const news = (bar, text) => {
    bar.querySelector("a").textContent = text;
    bar.hidden = false;
  };
  const fresh = new Set();
  const onIncident = (change) => {
    const bar = one('[data-news="incident"]');
    if (bar && change.new) {
      fresh.add(change.id);
      news(bar, fresh.size === 1 ? "1 new incident: show" : `${fresh.size} new incidents: show`);
    }
    if (change.new) overview(`incident ${change.id}`);
    onThis(change.id, "This incident has changed: show");
    soon();
  };
  const onThis = (incident, text) => {
    const bar = one('[data-news="this"]');
    if (bar && incident && body.dataset.incident === incident) news(bar, text);
  };
  const since = new Set();
  const overview = (what) => {
    const bar = one('[data-news="overview"]');
    if (!bar) return;
    since.add(what);
    news(bar, since.size === 1 ? "1 new thing since: show" : `${since.size} new things since: show`);
  };
  const assets = new Set();
  const onAsset = (change) => {
    const bar = one('[data-news="asset"]');
    if (!bar || !change.new) return;
    assets.add(change.id);
    news(bar, assets.size === 1 ? "1 new asset: show" : `${assets.size} new assets: show`);
  };
  let asked = 0;
  const soon = () => {
    if (asked || document.hidden) return;
    asked = setTimeout(async () => {
      asked = 0;
      try {
        const answer = await fetch("/live", { headers: { accept: "application/json" } });
        if (!answer.ok) return;
        const figures = await answer.json();
        for (const place of all("[data-live]")) {
          const value = figures[place.dataset.live];
          if (value !== undefined && place.textContent !== value) place.textContent = value;
        }
      } catch { /* the stream says that the server is gone */ }
    }, 1000);
  };
  const connection = one("#connection");
  let lost = null;
  const gone = () => {
    if (lost) return;
    lost = new Date();
    connection.textContent = `The server has not answered since ${lost.toLocaleTimeString()}. What you see is from before; `
      + "watching and responding go on in the sensor. Trying again.";
    connection.hidden = false;
  };
  const back = () => {
    if (lost) { connection.hidden = true; lost = null; soon(); }
  };
  let stream = null;
  let wait = 1000;
  const open = () => {
    stream = new EventSource("/api/v1/stream");
    stream.addEventListener("open", () => { wait = 1000; back(); });
    const on = (name, act) => stream.addEventListener(name, (event) => {
      back();
      try { act(JSON.parse(event.data)); } catch { /* a newer server's words */ }
    });
    on("incident", onIncident);
    on("plan", (change) => { onThis(change.incident, "The plan has changed: show"); overview(`plan ${change.id}`); soon(); });
    on("receipt", (change) => { onThis(change.incident, "There is a new receipt: show"); overview(`receipt ${change.command}`); soon(); });
    on("asset", onAsset);
    on("stats", soon);
    on("resync", () => { soon(); onThis(body.dataset.incident, "Something has changed: show"); });
    stream.addEventListener("error", () => {
      stream.close();
      setTimeout(() => { if (wait > 2000) gone(); }, 0);
      wait = Math.min(wait * 2, 30000);
      setTimeout(open, wait / 2);
    });
  };
  if (one(".top nav")) open();
  addEventListener("pagehide", () => stream?.close());
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
})();
