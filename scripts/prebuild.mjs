#!/usr/bin/env node
// What a release ships, in prebuilds/: prebuildify names, strips and places the addon, cmake-js builds it, for every GPU
// that is supported.
//
//   node scripts/prebuild.mjs
//
// prebuildify calls its builder as it would node-gyp, `rebuild --target=… --arch=…`: that builder is this file too.
import { mkdirSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import prebuildify from 'prebuildify';
import { buildAddon, isThere, wantsCuda } from './addon.mjs';

const root = join(import.meta.dirname, '..');
// A build folder of its own: prebuildify moves the addon out of it, and a clone's build keeps its settings.
const folder = 'build/release';

function build() {
  buildAddon(['helvetia'], {
    folder,
    defines: [`HELVETIA_OUTPUT=${folder}/build/Release`],
    env: { HELVETIA_RELEASE: '1' },
  });
}

function prebuild() {
  if (wantsCuda && !isThere('nvcc'))
    throw new Error('nvcc was not found, and a release has the CUDA kernels: HELVETIA_CUDA=off makes one without them');
  const { PREBUILD_ARCH: forArch = arch(), PREBUILD_PLATFORM: forPlatform = platform() } = process.env;
  if (forArch !== arch() || forPlatform !== platform())
    throw new Error(
      `a prebuild for ${forPlatform}-${forArch} is made on such a machine, this is ${platform()}-${arch()}`,
    );
  mkdirSync(join(root, folder), { recursive: true });
  const options = {
    cwd: join(root, folder),
    out: root,
    name: 'helvetia',
    napi: true,
    strip: true,
    // node-gyp-build knows by this tag which C library the addon needs.
    tagLibc: platform() === 'linux',
    nodeGyp: import.meta.filename,
  };
  prebuildify(options, (error) => {
    if (error) fail(error);
  });
}

function fail(error) {
  console.error(`helvetia: ${error.message}`);
  process.exit(1);
}

try {
  if (process.argv[2] === 'rebuild') build();
  else prebuild();
} catch (error) {
  fail(error);
}
