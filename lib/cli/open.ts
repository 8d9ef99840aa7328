// Opens a model for a command: says on a terminal what is being waited for, shows the download where there is one, and
// says why the CPU was chosen where the choice was left open.
import { whyCpu } from '../core/device.js';
import type { Adapter } from '../lora/adapter.js';
import { loadModel, type Model } from '../model.js';
import { bytes } from './format.js';
import type { ModelFlags } from './options.js';
import { given } from './parse.js';
import { Progress } from './progress.js';
import { type Context, styleFor } from './terminal.js';

export interface Opened extends Disposable {
  model: Model;
  adapter: Adapter | undefined;
}

/** @throws Error that names the file and what is wrong with it. */
export async function open(
  context: Context,
  name: string,
  flags: ModelFlags,
  options: { quiet?: boolean } = {},
): Promise<Opened> {
  const { terminal, interrupts } = context;
  const { stderr } = terminal;
  const shown = stderr.isTTY === true && !options.quiet;
  let download: Progress | undefined;
  if (shown) stderr.write(styleFor(stderr, terminal.env).dim(`loading ${name} …`));
  let model: Model | undefined;
  let note = '';
  try {
    model = await loadModel(name, {
      ...given({ dtype: flags.dtype, device: flags.device }),
      signal: interrupts.signal,
      onProgress: ({ file, loaded, total }) => {
        if (options.quiet) return;
        download ??= new Progress(stderr, {
          label: 'downloading',
          env: terminal.env,
          position: (done, all) => `${bytes(done)} of ${bytes(all)}`,
        });
        download.update(loaded, total, [file]);
      },
    });
    const adapter = flags.adapter === undefined ? undefined : await model.loadAdapter(flags.adapter);
    const opened = model;
    const chosen = (flags.device ?? 'auto') === 'auto' && opened.decoder.device.name === 'cpu';
    if (shown && chosen) note = `on the CPU: ${whyCpu()}\n`;
    return {
      model: opened,
      adapter,
      [Symbol.dispose]: () => {
        adapter?.dispose();
        opened.dispose();
      },
    };
  } catch (error) {
    model?.dispose();
    throw error;
  } finally {
    download?.end(false);
    if (shown) stderr.write(`\r\x1b[K${styleFor(stderr, terminal.env).dim(note)}`);
  }
}
