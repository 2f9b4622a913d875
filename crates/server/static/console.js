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
  setInterval(tell, 1000);

  // What the script adds to what the server wrote, here and in rows that come later.
  const dress = (within) => {
    for (const time of all("time[datetime]", within)) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.title = `${at.toLocaleString()} here · ${utc(at)}`;
    }
    all("[data-copy]", within).forEach(copying);
    all('form[method="post"]', within).forEach(once);
    tell();
  };

  // Copying.
  const copying = (source) => {
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
  };

  // A form is sent once.
  const once = (form) => {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
      form.setAttribute("aria-busy", "true");
    });
  };
  dress(document);
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

  // Choosing all rows of a page; a list from a file.
  for (const box of all("[data-choose-all]"))
    box.addEventListener("change", () => {
      for (const each of all("input[name=ids]")) each.checked = box.checked;
    });
  for (const file of all("[data-into]"))
    file.addEventListener("change", async () => {
      if (file.files[0]) one(`#${file.dataset.into}`).value = await file.files[0].text();
    });

  // Life. What is new waits behind a bar; rows and figures that are there change in their place; nothing moves under the
  // cursor. What the page asks by itself says so: it must not keep a session alive that nobody looks at.
  const ask = (path, accept) => fetch(path, { headers: { accept, "bastide-background": "1" } });
  const news = (bar, text) => {
    bar.querySelector("a").textContent = text;
    bar.hidden = false;
  };
  const counted = (number, one, many) => `${number} ${number === 1 ? one : many}`;

  // Rows: the page is read again, and each row that has a key is compared with what it says now.
  const essence = (row) => {
    const copy = row.cloneNode(true);
    for (const extra of all("button.copy", copy)) extra.remove();
    // How long ago passes by itself.
    for (const time of all("time", copy)) { time.textContent = ""; time.removeAttribute("title"); }
    return copy.innerHTML;
  };
  const refreshRow = (row, now) => {
    if (essence(row) === essence(now)) return;
    const held = row.contains(document.activeElement) ? document.activeElement : null;
    // Somebody is about to press a button in it: that row waits.
    if (held && held.tagName !== "A") return;
    row.replaceChildren(...now.childNodes);
    dress(row);
    if (held) all("a[href]", row).find((link) => link.href === held.href)?.focus({ preventScroll: true });
  };
  const refreshRows = async () => {
    try {
      const answer = await ask(location.href, "text/html");
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const keyed = (from) => new Map(all("[data-key]", from).map((row) => [row.dataset.key, row]));
      const [shown, now] = [keyed(document), keyed(page)];
      for (const [key, row] of shown) {
        if (now.has(key)) refreshRow(row, now.get(key));
        row.classList.toggle("past", !now.has(key));
      }
      const bar = one('[data-news="rows"]');
      if (!bar) return;
      const came = [...now.keys()].filter((key) => !shown.has(key)).length;
      const went = [...shown.keys()].filter((key) => !now.has(key)).length;
      const parts = [came ? `${came} new` : "", went ? `${went} no longer here` : ""].filter(Boolean);
      if (parts.length) news(bar, `${parts.join(", ")}: show`); else bar.hidden = true;
    } catch { /* the stream says that the server is gone */ }
  };
  let refreshing = 0;
  const rowsSoon = () => {
    if (refreshing || document.hidden || !one("[data-key], [data-news=rows]")) return;
    refreshing = setTimeout(async () => { await refreshRows(); refreshing = 0; }, 1000);
  };

  const fresh = new Set();
  const onIncident = (change) => {
    const bar = one('[data-news="incident"]');
    if (bar && change.new) {
      fresh.add(change.id);
      news(bar, `${counted(fresh.size, "new incident", "new incidents")}: show`);
    }
    onThis(change.id, "This incident has changed: show");
    rowsSoon();
    soon();
  };
  const onThis = (incident, text) => {
    const bar = one('[data-news="this"]');
    if (bar && incident && body.dataset.incident === incident) news(bar, text);
  };
  const assets = new Set();
  const onAsset = (change) => {
    const bar = one('[data-news="asset"]');
    if (!bar || !change.new) return;
    assets.add(change.id);
    news(bar, `${counted(assets.size, "new asset", "new assets")}: show`);
  };
  let asked = 0;
  const soon = () => {
    if (asked || document.hidden) return;
    asked = setTimeout(async () => {
      asked = 0;
      try {
        const answer = await ask("/live", "application/json");
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
    if (lost) { connection.hidden = true; lost = null; soon(); rowsSoon(); }
  };
  const signedOut = async () => {
    try { return (await ask("/live", "application/json")).status === 401; } catch { return false; }
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
    on("plan", (change) => { onThis(change.incident, "The plan has changed: show"); rowsSoon(); soon(); });
    on("receipt", (change) => { onThis(change.incident, "There is a new receipt: show"); rowsSoon(); soon(); });
    on("asset", onAsset);
    on("stats", soon);
    on("resync", () => { soon(); rowsSoon(); onThis(body.dataset.incident, "Something has changed: show"); });
    stream.addEventListener("error", async () => {
      stream.close();
      if (await signedOut()) {
        connection.textContent = "Your session has ended. What you see is from before; watching and responding go on. "
          + "To go on here, sign in with a new link: bastide up --sign-in-link on the machine prints one.";
        connection.hidden = false;
        return;
      }
      setTimeout(() => { if (wait > 2000) gone(); }, 0);
      wait = Math.min(wait * 2, 30000);
      setTimeout(open, wait / 2);
    });
  };
  if (one(".top nav")) open();
  addEventListener("pagehide", () => stream?.close());
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { soon(); rowsSoon(); } });
})();
