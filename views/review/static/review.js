// The page of one call: sound, transcript in step with it, and marks that are saved as soon as they are answered.
import WaveSurfer from "/static/wavesurfer.esm.js";

const call = location.search; // which call, and how it is opened
const SVG = "http://www.w3.org/2000/svg";
const ANSWER_OF = { y: "yes", n: "no", a: "na", u: "cannot_tell" };
const AFTER_WORDS_S = 0.4;
const LOOK_AGAIN_MS = 15000;

const element = (id) => document.getElementById(id);
const transcript = element("transcript");
const panel = element("marks");
const turns = [...transcript.querySelectorAll(".turn")];
const length = Number(document.querySelector(".player").dataset.duration) || 1;

function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function bringIntoView(part, box) {
  const [inner, outer] = [part.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    box.scrollTop += inner.top - outer.top - Math.max((outer.height - inner.height) / 3, 8);
  }
}

function setCurrent(part, is) {
  if (is) part.setAttribute("aria-current", "true");
  else part.removeAttribute("aria-current");
}

// The sound

let player = null;
let scrolledByHand = 0;
for (const how of ["wheel", "pointerdown"]) {
  transcript.addEventListener(how, () => (scrolledByHand = Date.now()), { passive: true });
}

async function openRecording() {
  let outline;
  try {
    const answer = await fetch(`/outline${call}`);
    outline = await answer.json();
    if (!answer.ok) throw new Error(outline.problem);
  } catch (error) {
    noRecording(error.message);
    return;
  }
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  player = WaveSurfer.create({
    container: "#wave",
    url: `/sound${call}`,
    peaks: [outline.peaks],
    duration: outline.duration_s,
    height: 56,
    normalize: true,
    dragToSeek: true,
    waveColor: colour("--faint"),
    progressColor: colour("--accent"),
    cursorColor: colour("--ink"),
    cspNonce: document.querySelector(".player").dataset.nonce,
  });
  player.on("ready", () => {
    for (const name of ["play", "back", "on"]) element(name).disabled = false;
    element("recording").textContent = "";
  });
  player.on("play", () => (element("play").textContent = "❚❚ Pause"));
  player.on("pause", () => (element("play").textContent = "▶ Play"));
  player.on("timeupdate", follow);
  player.on("error", () => noRecording("The browser cannot play the recording."));
}

function noRecording(why) {
  element("recording").textContent = `${why} Marks can be settled all the same.`;
  element("recording").classList.add("problem");
  element("wave").hidden = true;
}

function follow(seconds) {
  element("time").textContent = clock(seconds);
  const now = turns.findLast((turn) => Number(turn.dataset.from) <= seconds + 0.05);
  for (const turn of turns) setCurrent(turn, turn === now);
  if (now && Date.now() - scrolledByHand > 4000) bringIntoView(now, transcript);
}

function hear(from, to) {
  scrolledByHand = 0;
  if (player) player.play(from, to === undefined ? undefined : Math.min(to + AFTER_WORDS_S, length));
  else follow(from);
}

function seek(seconds) {
  if (player) player.setTime(Math.min(Math.max(seconds, 0), length));
  else follow(seconds);
}

element("play").addEventListener("click", () => player.playPause());
element("back").addEventListener("click", () => seek(player.getCurrentTime() - 5));
element("on").addEventListener("click", () => seek(player.getCurrentTime() + 5));
element("speed").addEventListener("change", (event) => player?.setPlaybackRate(Number(event.target.value), true));
transcript.addEventListener("click", (event) => {
  const turn = event.target.closest(".turn");
  if (!turn || !getSelection().isCollapsed) return;
  if (event.target.closest("button")) hear(Number(turn.dataset.from));
  else seek(Number(turn.dataset.from));
});

// The marks

const marks = () => [...panel.querySelectorAll(".mark")];
const markOf = (seen) => marks().find((mark) => mark.dataset.seen === seen);
const asSent = new Map(marks().map((mark) => [mark.dataset.seen, mark.outerHTML]));
const unsaved = new Set();
let current = null; // by its fingerprint: the element is put anew with every answer
let heard = -1; // which of its evidence

function select(mark, { focus = true } = {}) {
  if (!mark) return;
  if (mark.dataset.seen !== current) heard = -1;
  current = mark.dataset.seen;
  for (const other of marks()) setCurrent(other, other === mark);
  showEvidence(mark);
  if (focus) mark.focus({ preventScroll: true });
  bringIntoView(mark, panel);
}

function showEvidence(mark) {
  const spans = [...mark.querySelectorAll(".words")].map((words) => ({
    from: Number(words.dataset.from),
    to: Number(words.dataset.to),
    said: !words.matches(".where"), // else only where it belonged
  }));
  element("proof").replaceChildren(
    ...spans.map(({ from, to, said }) => {
      const bar = document.createElementNS(SVG, "rect");
      const place = { x: (1000 * from) / length, width: Math.max((1000 * (to - from)) / length, 2) };
      const size = said ? { y: 1, height: 6 } : { y: 3.5, height: 1 };
      for (const [name, value] of Object.entries({ ...place, ...size })) bar.setAttribute(name, value);
      return bar;
    }),
  );
  for (const turn of turns) {
    const [start, end] = [Number(turn.dataset.from), Number(turn.dataset.to)];
    const shown = spans.some(({ from, to, said }) => said && from < end - 0.01 && to > start + 0.01);
    turn.classList.toggle("proof", shown);
  }
}

function wordsOf(mark) {
  const all = [...mark.querySelectorAll(".words")];
  const said = all.filter((words) => !words.matches(".where"));
  return said.length ? said : all;
}

function hearWords(mark, words) {
  select(mark);
  heard = wordsOf(mark).indexOf(words);
  hear(Number(words.dataset.from), Number(words.dataset.to));
}

function hearNext(mark) {
  const all = wordsOf(mark);
  if (all.length) hearWords(mark, all[(heard + 1) % all.length]);
  else say(mark, "There are no words to hear.");
}

function say(mark, text, { problem = false } = {}) {
  const state = mark.querySelector(".state");
  state.textContent = text;
  state.classList.toggle("problem", problem);
  return state;
}

function count() {
  const all = marks();
  element("settled").textContent = `${all.filter((mark) => mark.dataset.mine && !unsaved.has(mark.dataset.seen)).length} of ${all.length} settled`;
}

function put(mark, html) {
  const box = document.createElement("template");
  box.innerHTML = html; // made and escaped by our own server
  const fresh = box.content.querySelector(".mark");
  asSent.set(fresh.dataset.seen, fresh.outerHTML);
  const focused = mark.contains(document.activeElement);
  fresh.querySelector("details")?.toggleAttribute("open", mark.querySelector("details")?.open ?? false);
  mark.replaceWith(fresh);
  if (fresh.dataset.seen === current) select(fresh, { focus: focused });
  return fresh;
}

// Answers go one after another, so that of two to one mark the later one counts.
let sending = Promise.resolve();
const newest = new Map(); // by the fingerprint of the mark: the id of the last answer to it

function answer(mark, value) {
  const seen = mark.dataset.seen;
  const review = { id: crypto.randomUUID().replaceAll("-", ""), seen, answer: value, comment: commentOf(mark) };
  mark.dataset.mine = value;
  for (const button of mark.querySelectorAll(".answer")) {
    button.setAttribute("aria-pressed", String(button.dataset.answer === value));
  }
  save(review);
}

function save(review) {
  unsaved.add(review.seen);
  newest.set(review.seen, review.id);
  say(markOf(review.seen), "Saving …");
  sending = sending.then(() => send(review));
}

async function send(review) {
  let html;
  try {
    const reply = await fetch(`/reviews${call}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(review),
    });
    html = await reply.text();
    if (!reply.ok) throw new Error(problemIn(html));
  } catch (error) {
    const why = error instanceof TypeError ? "wellheard review does not answer; is it still running?" : error.message;
    const state = say(markOf(review.seen), `Not saved: ${why} `, { problem: true });
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Try again";
    again.addEventListener("click", () => save(review));
    state.append(again);
    return;
  }
  if (newest.get(review.seen) !== review.id) return;
  const mark = markOf(review.seen);
  const [typed, typing] = [mark.querySelector("textarea"), document.activeElement];
  if (typed === typing || typed.value.trim() !== review.comment) {
    // A comment is being written: leave the field alone.
    mark.dataset.mine = review.answer;
    say(mark, typed.value.trim() === review.comment ? "Saved." : "The answer is saved, the comment not yet.");
  } else {
    put(mark, html);
  }
  if (typed.value.trim() === review.comment) unsaved.delete(review.seen);
  count();
}

function problemIn(text) {
  try {
    return JSON.parse(text).problem;
  } catch {
    return text.trim();
  }
}

function write(mark) {
  const field = mark.querySelector("textarea");
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

const commentOf = (mark) => mark.querySelector("textarea").value.trim();

function confirm(mark) {
  if (mark.dataset.machine) answer(mark, mark.dataset.machine);
  else say(mark, "There is no answer to confirm: choose one.");
}

panel.addEventListener("click", (event) => {
  const mark = event.target.closest(".mark");
  if (!mark) return;
  const button = event.target.closest("button");
  if (button?.matches(".words")) hearWords(mark, button);
  else if (button?.matches(".answer")) select(mark), answer(mark, button.dataset.answer);
  else if (button?.matches(".confirm")) select(mark), confirm(mark);
  else if (!event.target.closest("textarea, summary, a, button")) select(mark, { focus: getSelection().isCollapsed });
});
panel.addEventListener("focusin", (event) => {
  const mark = event.target.closest(".mark");
  if (mark && mark.dataset.seen !== current) select(mark, { focus: false });
});
panel.addEventListener("input", (event) => {
  const mark = event.target.closest(".mark");
  if (mark.dataset.mine || commentOf(mark)) unsaved.add(mark.dataset.seen);
  else unsaved.delete(mark.dataset.seen);
  say(mark, mark.dataset.mine ? "The comment is not saved yet." : "The comment is saved with your answer.");
});
panel.addEventListener("change", (event) => {
  const mark = event.target.closest(".mark");
  if (mark.dataset.mine) answer(mark, mark.dataset.mine);
});
addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});

// What others have answered meanwhile
async function lookAgain() {
  if (document.hidden) return;
  const reply = await fetch(`/marks${call}`).catch(() => null);
  if (!reply?.ok) return;
  const box = document.createElement("template");
  box.innerHTML = await reply.text();
  for (const fresh of box.content.querySelectorAll(".mark")) {
    const { seen } = fresh.dataset;
    const mark = markOf(seen);
    const busy = !mark || unsaved.has(seen) || mark.contains(document.activeElement?.closest("textarea"));
    if (!busy && asSent.get(seen) !== fresh.outerHTML) put(mark, fresh.outerHTML);
  }
  count();
}
setInterval(lookAgain, LOOK_AGAIN_MS);
addEventListener("focus", lookAgain);

// Keys

function step(by) {
  const all = marks();
  const place = all.findIndex((mark) => mark.dataset.seen === current);
  select(all[Math.min(Math.max(place + by, 0), all.length - 1)]);
}

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (target.matches("textarea")) {
    if (key === "Escape") target.closest(".mark").focus({ preventScroll: true });
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || element("help").open || target.matches("select")) return;
  if ((key === "Enter" || key === " ") && target.matches("button, a, summary")) return;
  const mark = markOf(current);
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    e: () => mark && hearNext(mark),
    c: () => mark && write(mark),
    Enter: () => mark && confirm(mark),
    " ": () => player?.playPause(),
    ArrowLeft: () => player && seek(player.getCurrentTime() - 5),
    ArrowRight: () => player && seek(player.getCurrentTime() + 5),
    "?": () => element("help").showModal(),
  };
  const action = keys[key] ?? (ANSWER_OF[key] && mark ? () => answer(mark, ANSWER_OF[key]) : null);
  if (!action) return;
  event.preventDefault();
  action();
});
element("help-open").addEventListener("click", () => element("help").showModal());
element("help-close").addEventListener("click", () => element("help").close());

count();
select(marks().find((mark) => !mark.dataset.mine) ?? marks()[0]);
openRecording();
