// The device that this run of the suite is for: see the projects in vitest.config.ts.
import { device } from '../lib/core/device.js';

/** Whether that is the GPU in software, which takes a thousand times longer: it gets fewer rounds and the small models. */
export const isEmulated = process.env.HELVETIA_GPU === 'simt';

export const testDevice = device(process.env.HELVETIA_TEST_DEVICE ?? 'cpu').toString();
