// Named model shapes, as their config.json says them: for timing with random weights where no checkpoint is at hand. Each
// architecture has one at least.
import { experts } from './experts.js';
import { full } from './full.js';
import { latent } from './latent.js';
import { recurrent } from './recurrent.js';
import { windows } from './windows.js';

export const shapes = { ...full, ...windows, ...experts, ...latent, ...recurrent };

export type ShapeName = keyof typeof shapes;

export const shapeNames = Object.keys(shapes) as ShapeName[];
