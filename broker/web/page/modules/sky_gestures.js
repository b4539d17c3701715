// Pointer, wheel and keyboard on the sky.

const TURN_DEG = 15;
const CLICK_PX = 4;

/** Let a `Sky` be moved and chosen from. */
export function listen(sky) {
  const { canvas } = sky;
  const pointers = new Map();
  let moved = 0;
  let spread = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    moved = 0;
    spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      sky.hover(event.offsetX, event.offsetY);
      return;
    }
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      const [one, other] = [...pointers.values()];
      const now = Math.hypot(one.offsetX - other.offsetX, one.offsetY - other.offsetY);
      if (spread) sky.magnify(now / spread, [(one.offsetX + other.offsetX) / 2, (one.offsetY + other.offsetY) / 2]);
      spread = now;
      moved = Infinity;
      return;
    }
    const [across, down] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    moved += Math.abs(across) + Math.abs(down);
    if (moved < CLICK_PX) return;
    const degrees = 180 / Math.PI / sky.view.scale;
    const narrow = Math.max(0.2, Math.cos((sky.centre[1] * Math.PI) / 180));
    sky.turn((across * degrees) / narrow, down * degrees);
  });
  const lifted = (event) => {
    if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved < CLICK_PX) {
      sky.choose(sky.at(event.offsetX, event.offsetY));
    }
  };
  canvas.addEventListener("pointerup", lifted);
  canvas.addEventListener("pointercancel", lifted);
  canvas.addEventListener("pointerleave", () => sky.hover());
  canvas.addEventListener("dblclick", (event) => sky.magnify(2, [event.offsetX, event.offsetY]));
  canvas.addEventListener("wheel", (event) => {
    // Whoever scrolls the page past the sky does not mean to zoom: the control key, or the focus, says so.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    sky.magnify(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keysOf(sky)[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
}

function keysOf(sky) {
  const step = TURN_DEG / sky.zoom;
  return {
    ArrowLeft: () => sky.turn(step, 0),
    ArrowRight: () => sky.turn(-step, 0),
    ArrowUp: () => sky.turn(0, step),
    ArrowDown: () => sky.turn(0, -step),
    "+": () => sky.magnify(1.4),
    "=": () => sky.magnify(1.4),
    "-": () => sky.magnify(1 / 1.4),
    0: () => sky.reset(),
    "]": () => sky.step(1),
    "[": () => sky.step(-1),
    Enter: () => sky.selected && sky.choose({ id: sky.selected }),
  };
}
