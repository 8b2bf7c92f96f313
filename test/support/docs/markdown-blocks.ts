/** A fenced block of a page, with what stands behind its language. */
export interface MarkdownBlock {
  readonly file: string;
  /** Of the fence, from 1. */
  readonly line: number;
  /** `sh`; empty when there is none. */
  readonly language: string;
  /** `on=controller` as ['on', 'controller'], `parsed` as ['parsed', '']. */
  readonly tags: ReadonlyMap<string, string>;
  readonly text: string;
}

export interface CodeSpan {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** All fenced blocks in their order. @throws Error for a fence that is never closed. */
export function blocksOf(file: string, markdown: string): MarkdownBlock[] {
  const blocks: MarkdownBlock[] = [];
  let open: { readonly fence: string; readonly line: number; readonly info: string } | undefined;
  let body: string[] = [];
  for (const [index, text] of markdown.split('\n').entries()) {
    const [, fence = '', info = ''] = /^ *(`{3,}|~{3,})\s*(.*)$/.exec(text) ?? [];
    if (open === undefined) {
      if (fence !== '') open = { fence, line: index + 1, info: info.trim() };
      body = [];
    } else if (fence.startsWith(open.fence) && info === '') {
      blocks.push({ file, line: open.line, ...parseInfo(open.info), text: body.join('\n') });
      open = undefined;
    } else body.push(text);
  }
  if (open !== undefined) throw new Error(`${file}:${open.line}: the block is not closed`);
  return blocks;
}

/** Code in running text, outside of blocks. */
export function codeSpansOf(file: string, markdown: string): CodeSpan[] {
  let isInBlock = false;
  return markdown.split('\n').flatMap((text, index) => {
    if (/^ *(`{3,}|~{3,})/.test(text)) isInBlock = !isInBlock;
    if (isInBlock) return [];
    const spans = [...text.matchAll(/(?<!`)`([^`]+)`(?!`)/g)];
    return spans.map(([, code = '']) => ({ file, line: index + 1, text: code }));
  });
}

function parseInfo(info: string): Pick<MarkdownBlock, 'language' | 'tags'> {
  const [language = '', ...words] = info.split(/\s+/);
  const tags = words.map((word): [string, string] => {
    const [name = '', ...value] = word.split('=');
    return [name, value.join('=')];
  });
  return { language, tags: new Map(tags) };
}
