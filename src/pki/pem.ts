/** PEM text of DER bytes, with the line length of RFC 7468. */
export function renderPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** The bytes of a text that is exactly one PEM block with this label and no headers; undefined for any other. */
export function parseSinglePem(label: string, text: string): Buffer | undefined {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const trimmed = text.trim();
  if (trimmed.length < begin.length + end.length) return undefined;
  if (!trimmed.startsWith(begin) || !trimmed.endsWith(end)) return undefined;
  const body = trimmed.slice(begin.length, -end.length).replaceAll(/[\r\n]/g, '');
  const bytes = Buffer.from(body, 'base64');
  // Buffer.from skips what is not base64; the way back shows it
  return bytes.length > 0 && bytes.toString('base64') === body ? bytes : undefined;
}

/** Every certificate block of a PEM text, in order. */
export function certificateBlocks(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g) ?? [];
}
