// Recordings: the sequence of native calls that a function made, to be run again in one call.
import { native, type RecordingHandle } from './native.js';

/**
 * A sequence of kernel calls with their tensors. `replay()` runs it again on the same tensors: write new inputs into
 * them first, read the outputs after. Every tensor that the recorded function made stays allocated with the recording.
 */
export class Recording {
  #handle: RecordingHandle | undefined;

  constructor(handle: RecordingHandle) {
    this.#handle = handle;
  }

  /** Queues all calls again, in order. */
  replay(): void {
    if (!this.#handle) throw new Error('replay: the recording was disposed of');
    native.replay(this.#handle);
  }

  dispose(): void {
    if (this.#handle) native.dropRecording(this.#handle);
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Runs `body` and remembers the kernel calls that it makes. `body` is synchronous: it cannot wait for a result.
 *
 * @throws Error if a recording is already open.
 */
export function recordCalls<T>(body: () => T): { recording: Recording; result: T } {
  native.startRecording();
  let recording: Recording | undefined;
  try {
    const result = body();
    recording = new Recording(native.stopRecording());
    return { recording, result };
  } finally {
    if (!recording) native.dropRecording(native.stopRecording());
  }
}
