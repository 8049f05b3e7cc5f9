/* Frames one after the other, at a speed, until somebody stops it or does something else with them. */

export const SPEEDS = [2, 5, 10, 15, 25] as const; // frames a second

export interface Reel {
  readonly index: number;
  readonly stack: readonly unknown[];
  goTo(index: number): Promise<void>;
}

export class Cine {
  speed: number = 10;
  private timer = 0;
  private turn = 0; // an answer that arrives after a stop goes nowhere

  constructor(private readonly told: () => void) {
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
  }

  get isRunning(): boolean {
    return this.turn % 2 === 1;
  }

  toggle(reel: Reel): void {
    if (this.isRunning) this.stop();
    else this.start(reel);
  }

  private start(reel: Reel): void {
    if (reel.stack.length < 2) return;
    this.turn += 1;
    const mine = this.turn;
    const step = async (): Promise<void> => {
      const began = performance.now();
      await reel.goTo((reel.index + 1) % reel.stack.length).catch(() => this.stop());
      if (mine !== this.turn) return;
      // A frame that takes long to load delays the next one; none is left out.
      this.timer = window.setTimeout(() => void step(), Math.max(0, 1000 / this.speed - (performance.now() - began)));
    };
    void step();
    this.told();
  }

  stop(): void {
    if (!this.isRunning) return;
    this.turn += 1;
    window.clearTimeout(this.timer);
    this.told();
  }

  /** One step slower (-1) or faster (1). */
  change(by: -1 | 1): void {
    const at = SPEEDS.findIndex((speed) => speed >= this.speed);
    this.speed = SPEEDS[Math.min(Math.max(at + by, 0), SPEEDS.length - 1)];
    this.told();
  }
}
