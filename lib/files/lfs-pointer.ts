// Git LFS pointers: three lines of text that a clone has in place of a large file until `git lfs pull`.

const beginning = Buffer.from('version https://git-lfs.github.com/spec/');

/** Bytes that tell a pointer from every other file of a model. */
export const pointerBytes = beginning.length;

/** @throws Error that says how to get the file, where what begins with the bytes `head` is a pointer. */
export function refusePointer(path: string, head: Uint8Array): void {
  if (!beginning.equals(head.subarray(0, pointerBytes))) return;
  throw new Error(
    `${path}: is a Git LFS pointer, not the file itself: run 'git lfs pull' in its repository, or download the file`,
  );
}
