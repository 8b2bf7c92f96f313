/** node-forge's ASN.1 alone: the whole library costs 11 MB and 33 ms, this part 5 MB and 5 ms. */
declare module 'node-forge/lib/asn1.js' {
  import type { asn1 } from 'node-forge';

  interface FromDerOptions {
    readonly strict?: boolean;
    readonly parseAllBytes?: boolean;
    readonly decodeBitStrings?: boolean;
    readonly maxDepth?: number;
  }

  interface BinaryString {
    getBytes(): string;
  }

  /** Strings hold one byte per character. */
  const reader: {
    create(
      tagClass: number,
      type: number,
      constructed: boolean,
      value: string | asn1.Asn1[],
    ): asn1.Asn1;
    fromDer(bytes: string, options: FromDerOptions): asn1.Asn1;
    toDer(node: asn1.Asn1): BinaryString;
    oidToDer(oid: string): BinaryString;
    derToOid(bytes: string): string;
  };
  // biome-ignore lint/style/noDefaultExport: the shape of a CommonJS module that is not ours
  export default reader;
}
