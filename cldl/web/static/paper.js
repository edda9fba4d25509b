// Paper that is drawn on with a mouse, a finger, a pen or the keyboard, and that can show a picture instead.

const WIDTH = 20; // of a stroke, in pixels of the canvas
const MARGIN = 20; // white around what is sent, so that no stroke touches its edge
const STEP = 10; // of the keyboard's pen; with Shift, a fifth of it
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Paper {
  // draws: whether it can be drawn on; changed(isEmpty): called after every change by the reader
  constructor(canvas, draws, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = []; // each a list of [x, y]
    this.picture = null; // shown in the place of strokes
    this.pen = null; // of the keyboard: [x, y], once a key was pressed
    this.penIsDown = false;
    this.pointer = null; // of a stroke that is not finished
    this.held = new Set(); // arrow keys
    this.#draw();
    if (!draws) return;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("lostpointercapture", () => this.#lift());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("keyup", (event) => this.held.delete(event.key));
    canvas.addEventListener("blur", () => this.#leave());
  }

  // Whether a stroke is not finished.
  get isDrawing() {
    return this.pointer !== null || this.penIsDown;
  }

  clear() {
    this.show(null);
    this.changed(true);
  }

  // Show a picture, or blank paper.
  show(picture) {
    this.strokes = [];
    this.penIsDown = false;
    this.pointer = null;
    this.picture = picture;
    this.#draw();
  }

  // What was drawn, as a PNG with a margin; at once, where `toBlob` waits until the browser is idle.
  blob() {
    const copy = document.createElement("canvas");
    copy.width = this.canvas.width + 2 * MARGIN;
    copy.height = this.canvas.height + 2 * MARGIN;
    const context = copy.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, copy.width, copy.height);
    context.translate(MARGIN, MARGIN);
    this.#ink(context);
    const bytes = atob(copy.toDataURL("image/png").split(",")[1]);
    return new Blob([Uint8Array.from(bytes, (character) => character.charCodeAt(0))], { type: "image/png" });
  }

  #press(event) {
    if (event.button !== 0 || this.pointer !== null) return; // of two fingers the first draws
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.pen = null;
    this.penIsDown = false;
    this.#begin(this.#position(event));
  }

  #move(event) {
    if (event.pointerId !== this.pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const each of passed.length ? passed : [event]) this.#extend(this.#position(each));
  }

  #lift() {
    if (this.pointer === null) return; // cleared meanwhile
    this.pointer = null;
    this.changed(false);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      this.clear();
    } else if (event.key === " ") {
      this.pen ??= this.#middle();
      this.penIsDown = !this.penIsDown;
      if (this.penIsDown) {
        this.#begin(this.pen);
      } else {
        this.#draw();
        this.changed(false);
      }
    } else if (event.key in ARROWS) {
      this.held.add(event.key);
      const step = event.shiftKey ? STEP / 5 : STEP;
      const [x, y] = this.pen ?? this.#middle();
      const [dx, dy] = [...this.held].map((key) => ARROWS[key]).reduce((a, b) => [a[0] + b[0], a[1] + b[1]]);
      const within = (value, most) => Math.min(Math.max(value, 0), most);
      this.pen = [within(x + step * dx, this.canvas.width), within(y + step * dy, this.canvas.height)];
      if (this.penIsDown) this.#extend(this.pen);
      else this.#draw();
    } else {
      return;
    }
    event.preventDefault();
  }

  #leave() {
    this.held.clear();
    if (this.penIsDown) {
      this.penIsDown = false;
      this.changed(false);
    }
    this.#draw();
  }

  #begin(point) {
    this.picture = null;
    this.strokes.push([]);
    this.#extend(point);
  }

  #extend(point) {
    this.strokes.at(-1).push(point);
    this.#draw();
    this.changed(false);
  }

  #position(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * this.canvas.width) / box.width,
      ((event.clientY - box.top) * this.canvas.height) / box.height,
    ];
  }

  #middle() {
    return [this.canvas.width / 2, this.canvas.height / 2];
  }

  #draw() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.picture) {
      const scale = Math.min(this.canvas.width / this.picture.width, this.canvas.height / this.picture.height);
      const [width, height] = [scale * this.picture.width, scale * this.picture.height];
      const [left, top] = [(this.canvas.width - width) / 2, (this.canvas.height - height) / 2];
      context.drawImage(this.picture, left, top, width, height);
    }
    this.#ink(context);
    if (this.pen && document.activeElement === this.canvas) this.#mark(context);
  }

  #ink(context) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = WIDTH;
    context.strokeStyle = "#000";
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      for (const point of stroke) context.lineTo(...point);
      context.stroke();
    }
  }

  // The keyboard's pen: a ring, full where it is down.
  #mark(context) {
    context.beginPath();
    context.arc(...this.pen, WIDTH / 2, 0, 2 * Math.PI);
    context.lineWidth = 3;
    context.strokeStyle = "#d55e00";
    context.fillStyle = "#d55e00";
    if (this.penIsDown) context.fill();
    else context.stroke();
  }
}
