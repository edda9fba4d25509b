// The page: what is drawn, dropped, chosen or pasted is sent, one image at a time, and the answer to the last one is shown.

import { Paper } from "./paper.js";
import { showAnswer, showNothing, showRun } from "./answer.js";

const PAUSE = 150; // ms between a change of the drawing and its answer: a stroke is answered while it is drawn
const UNREACHABLE = "the server does not answer: is it still running?";

const run = await fetch("api/run")
  .then((response) => response.json())
  .catch((error) => {
    showNothing(UNREACHABLE, true);
    throw error;
  });
showRun(run);
const draws = run.input.channels === 1; // a run that learned digits
const BLANK = draws ? "Nothing has been drawn yet." : "No image has been chosen yet.";
showNothing(BLANK);

let generation = 0; // goes up when what was sent is no longer shown
let waiting = null; // what to send next: a function that gives a Blob
let isSending = false;
let timer = null;

const paper = new Paper(document.getElementById("paper"), draws, (isEmpty) => {
  if (isEmpty) {
    forget();
    showNothing(BLANK);
  } else {
    timer ??= setTimeout(() => {
      timer = null;
      send(() => paper.blob());
    }, PAUSE);
  }
});

// Drop what would be sent, and the answer that is on its way.
function forget() {
  clearTimeout(timer);
  timer = waiting = null;
  generation += 1;
}

async function send(image) {
  waiting = image;
  if (isSending) return;
  isSending = true;
  while (waiting) {
    const next = waiting;
    const asked = generation;
    waiting = null;
    const [answer, refused] = await ask(await next());
    if (asked !== generation) continue;
    if (answer) showAnswer(answer, run);
    else if (!paper.isDrawing) showNothing(refused, true); // half a digit need not be one
  }
  isSending = false;
}

async function ask(image) {
  if (image.size > run.max_bytes) return [null, run.too_large];
  try {
    const response = await fetch("api/predict", { method: "POST", body: image });
    const found = await response.json();
    return response.ok ? [found, null] : [null, found.refused];
  } catch {
    return [null, UNREACHABLE];
  }
}

async function take(file) {
  if (!file) return;
  forget();
  const picture = await createImageBitmap(file).catch(() => null);
  paper.show(picture);
  send(() => file);
}

document.getElementById("clear").addEventListener("click", () => paper.clear());
document.getElementById("file").addEventListener("change", (event) => {
  take(event.target.files[0]);
  event.target.value = ""; // the same file may be chosen again
});
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files[0]);
});
