// What can be seen of an engine while it works, besides what it says when it is asked.

export interface EngineWatcher {
  /** A step was computed, of so many tokens of prompts and answers. */
  step(tokens: number): void;
  /** A sequence was admitted for the first time, so many milliseconds after it came. */
  admitted(milliseconds: number): void;
  /**
   * So long after its admission a sequence got its first token; of one that chooses none, all that was asked for was read.
   */
  prefilled(milliseconds: number): void;
}
