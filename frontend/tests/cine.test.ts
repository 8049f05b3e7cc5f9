import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Cine, SPEEDS } from "../src/cine";

class Reel {
  index = 0;
  stack = [1, 2, 3, 4];
  shown: number[] = [];
  delay = 0;

  async goTo(index: number): Promise<void> {
    if (this.delay) await new Promise((done) => setTimeout(done, this.delay));
    this.index = index;
    this.shown.push(index);
  }
}

describe("cine", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", new EventTarget());
    vi.stubGlobal("window", globalThis);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("goes round at its speed until it is stopped", async () => {
    const reel = new Reel();
    const cine = new Cine(() => undefined);
    cine.toggle(reel);
    await vi.advanceTimersByTimeAsync(450); // ten a second: at 0, 100, 200, 300, 400
    expect(reel.shown).toEqual([1, 2, 3, 0, 1]);
    cine.toggle(reel);
    await vi.advanceTimersByTimeAsync(1000);
    expect(reel.shown).toHaveLength(5);
    expect(cine.isRunning).toBe(false);
  });

  it("waits for a frame that is late and leaves none out", async () => {
    const reel = Object.assign(new Reel(), { delay: 300 });
    const cine = new Cine(() => undefined);
    cine.toggle(reel);
    await vi.advanceTimersByTimeAsync(950);
    expect(reel.shown).toEqual([1, 2, 3]);
    cine.stop();
    await vi.advanceTimersByTimeAsync(2000);
    expect(reel.shown.length).toBeLessThanOrEqual(4); // the one on its way
  });

  it("does not play one picture, and knows its fastest and slowest", () => {
    const cine = new Cine(() => undefined);
    cine.toggle(Object.assign(new Reel(), { stack: [1] }));
    expect(cine.isRunning).toBe(false);
    for (let at = 0; at < 9; at += 1) cine.change(1);
    expect(cine.speed).toBe(SPEEDS[SPEEDS.length - 1]);
    for (let at = 0; at < 9; at += 1) cine.change(-1);
    expect(cine.speed).toBe(SPEEDS[0]);
  });
});
