// The device that this run of the suite is for: see the projects in vitest.config.ts.
import { device } from '../lib/device.js';

export const testDevice = device(process.env.HELVETIA_TEST_DEVICE ?? 'cpu').toString();
