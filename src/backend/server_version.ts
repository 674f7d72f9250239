// memcached's version as it tells it ("1.6.18"), where what a server can do hangs on it.

/** True when it is `least` (major, minor, patch) or newer; what is not a version is not. */
export function versionAtLeast(version: string, least: readonly [number, number, number]): boolean {
  const parts = version.split(/[.\-+ ]/).map(Number);
  for (let i = 0; i < least.length; i++) {
    const part = parts[i] ?? 0;
    if (part !== least[i]) return part > least[i]!;
  }
  return true;
}
