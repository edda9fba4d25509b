// What is shown of the run and of an answer. Texts are set as texts, never as HTML.

const byId = (id) => document.getElementById(id);
const COLOURS = 7; // of classifiers
const LONG = 2; // letters; a longer label is set smaller

export function showRun(run) {
  const M = run.classifiers.length;
  const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  document.title = `${run.run}: what the network sees`;
  byId("about").textContent =
    `The run ${run.run}: recipe ${run.recipe}, ${count(M, "classifier")}, ${run.classes.length} classes.`;
  if (run.input.channels !== 1) {
    document.body.classList.add("no-drawing");
    byId("input-title").textContent = "Show it an image";
    const paper = byId("paper");
    paper.removeAttribute("tabindex");
    paper.removeAttribute("aria-describedby");
    paper.setAttribute("role", "img");
    paper.setAttribute("aria-label", "The image that was chosen");
  }
  const isJoint = run.loss === "cldl";
  byId("joint").textContent = isJoint
    ? "The class whose loss, summed over all classifiers, would be the smallest if it were the right one."
    : "The top classifier’s own answer: lower ones only help to train the layers below them.";
  byId("decides").textContent = isJoint
    ? "The classifier to which the joint answer is the most probable."
    : "The top classifier, always.";
  byId("meaning-of-t").textContent = meaningOfT(run);
  byId("rule").textContent = rule(run.exit);
}

function meaningOfT(run) {
  if (run.loss === "hinge") return "The loss that this run was trained with has none.";
  if (run.loss === "softmax") return "1 for every classifier: this run was trained by deep supervision.";
  const share = run.unweighted_share;
  const but = share ? ` In this run ${percent(share)} of each loss counts whatever T is.` : "";
  return (
    "How much a classifier’s loss on this image would count in training, if the joint answer were the right one: the product over " +
    "the other classifiers of their doubt in it, " +
    `(1 − p) to the power ${number(run.exponent)}. Near 0 the others have it right, and this one need not learn it; near 1 they do not.${but}`
  );
}

function rule(exit) {
  if (exit === null) return "This run has one classifier, so there is none.";
  const where = exit.measured
    ? "as cldl.evaluate --exit chose it for this run"
    : "by default; cldl.evaluate --exit chooses a better one for a run";
  return `Sure enough is ${article(exit.measure)} of ${number(exit.threshold)} or more, ${where}. ${MEASURES[exit.measure]}`;
}

const article = (measure) => (measure === "entropy" ? "a sureness by entropy" : `a ${measure}`);
const MEASURES = {
  confidence: "Confidence is the largest probability.",
  margin: "The margin is the largest probability less the second largest.",
  entropy: "It is 1 where one class has all the probability, and 0 where all have the same.",
};

export function showNothing(sentence, isRefused = false) {
  tell(sentence, isRefused);
  byId("found").hidden = byId("each").hidden = true;
}

export function showAnswer(answer, run) {
  const [best] = answer.likeliest;
  tell(`${answer.label}, with ${percent(best.probability).replace("> ", "over ")}, decided by ${answer.decided_by}.`, false);
  byId("label").textContent = answer.label;
  byId("label").classList.toggle("long", answer.label.length > LONG);
  byId("given").src = answer.given;
  byId("size").textContent = `What the network sees: ${run.input.width} × ${run.input.height} pixels`;
  byId("likeliest").replaceChildren(...answer.likeliest.map(bar));
  byId("exit").textContent = answer.exit ? stopping(answer.exit, answer.label) : "";
  byId("classifiers").replaceChildren(...answer.classifiers.map((own, m) => card(own, m, answer, run)));
  byId("found").hidden = byId("each").hidden = false;
}

function tell(sentence, isRefused) {
  byId("told").textContent = sentence;
  byId("told").classList.toggle("refused", isRefused);
}

function stopping(exit, joint) {
  const same = exit.label === joint ? "the same" : exit.label;
  return exit.cost === 1
    ? "Early exit would ask them all: none below the top is sure enough."
    : `Early exit would stop at ${exit.stops_at}, with ${percent(exit.cost)} of the multiply-adds. Its answer: ${same}.`;
}

function card(own, m, answer, run) {
  const badges = element("p", "badges");
  if (own.name === answer.decided_by) badges.append(element("span", "badge decides", "decides"));
  if (own.name === answer.exit?.stops_at) badges.append(element("span", "badge", "early exit stops here"));
  const bars = element("ol", "bars");
  bars.append(...own.likeliest.map(bar));
  const facts = element("dl", "facts");
  const fact = (term, text) => facts.append(element("dt", "", term), element("dd", "", text));
  fact(`probability of ${answer.label}`, percent(own.of_prediction));
  if (own.T !== null) fact("T", number(own.T));
  if (answer.exit) fact(run.exit.measure === "entropy" ? "sureness" : run.exit.measure, number(answer.exit.sureness[m]));
  fact("multiply-adds", percent(own.cost));
  const made = element("article", `classifier classifier-${m % COLOURS}`);
  made.append(element("h3", "", own.name), badges, bars, facts);
  return made;
}

function bar({ label, probability }) {
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = `${100 * probability}%`;
  track.append(fill);
  const made = element("li");
  made.append(element("span", "name", label), track, element("span", "number", percent(probability)));
  return made;
}

function element(name, kind = "", text = "") {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

// 99.97 %, and never a certainty that is none.
function percent(share) {
  if (share > 0.9999 && share < 1) return "> 99.99 %";
  if (share < 0.0001 && share > 0) return "< 0.01 %";
  return `${(100 * share).toFixed(Number.isInteger(100 * share) ? 0 : 2)} %`;
}

// Four digits, or six behind the point.
function number(value) {
  if (value > 0.9999 && value < 1) return "> 0.9999";
  if (value < 0.000001 && value > 0) return "< 0.000001";
  return `${Number(value < 0.1 ? value.toFixed(6) : value.toFixed(4))}`;
}
