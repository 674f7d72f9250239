// A TypeScript file as tokens, by TypeScript's own scanner: what rules look at, so that a word in a comment or a string
// is not taken for code.
import { createScanner } from "typescript/unstable/ast/scanner";
import { SyntaxKind } from "typescript/unstable/ast";

export interface Token {
  readonly kind: "word" | "sign" | "text" | "number" | "comment";
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** How many braces, brackets and parentheses are open around it. */
  readonly depth: number;
}

/** After one of these a slash divides; after anything else it begins a regular expression. */
const ENDS_A_VALUE: ReadonlySet<string> = new Set([")", "]", "}", "this", "super", "null", "true", "false"]);

/** The tokens of a file in order, comments among them, white space left out. */
export function tokensOf(source: string): Token[] {
  const scanner = createScanner(false);
  scanner.setText(source);
  const tokens: Token[] = [];
  // For each open template string, the depth at which its placeholder ends.
  const templates: number[] = [];
  let depth = 0;
  let line = 1;
  let counted = 0;
  let previous: Token | null = null;
  for (;;) {
    let kind = scanner.scan();
    if (kind === SyntaxKind.EndOfFile) return tokens;
    if (kind === SyntaxKind.WhitespaceTrivia || kind === SyntaxKind.NewLineTrivia) continue;
    if ((kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken) && !endsAValue(previous)) {
      kind = scanner.reScanSlashToken();
    }
    if (kind === SyntaxKind.CloseBraceToken && templates.at(-1) === depth - 1) {
      kind = scanner.reScanTemplateToken(false);
      if (kind === SyntaxKind.TemplateTail) templates.pop();
      depth -= 1;
      if (kind === SyntaxKind.TemplateMiddle) depth += 1;
    } else if (kind === SyntaxKind.TemplateHead) {
      templates.push(depth);
      depth += 1;
    }
    const text = scanner.getTokenText();
    for (; counted < scanner.getTokenStart(); counted++) if (source.charCodeAt(counted) === 10) line += 1;
    const closes = kind === SyntaxKind.CloseBraceToken || text === ")" || text === "]";
    if (closes) depth -= 1;
    const token: Token = { kind: kindOf(kind, text), text, line, depth };
    tokens.push(token);
    if (token.kind !== "comment") previous = token;
    if (kind === SyntaxKind.OpenBraceToken || text === "(" || text === "[") depth += 1;
  }
}

function endsAValue(token: Token | null): boolean {
  if (token === null) return false;
  if (token.kind === "word") return !KEYWORDS_BEFORE_VALUES.has(token.text);
  return token.kind !== "sign" || ENDS_A_VALUE.has(token.text);
}

const KEYWORDS_BEFORE_VALUES: ReadonlySet<string> = new Set([
  "return", "typeof", "case", "in", "of", "instanceof", "new", "delete", "void", "throw", "do", "else", "yield", "await",
]);

function kindOf(kind: SyntaxKind, text: string): Token["kind"] {
  switch (kind) {
    case SyntaxKind.SingleLineCommentTrivia:
    case SyntaxKind.MultiLineCommentTrivia:
      return "comment";
    case SyntaxKind.NumericLiteral:
    case SyntaxKind.BigIntLiteral:
      return "number";
    case SyntaxKind.StringLiteral:
    case SyntaxKind.RegularExpressionLiteral:
    case SyntaxKind.NoSubstitutionTemplateLiteral:
    case SyntaxKind.TemplateHead:
    case SyntaxKind.TemplateMiddle:
    case SyntaxKind.TemplateTail:
      return "text";
    default:
      return /^[A-Za-z_$#]/.test(text) ? "word" : "sign";
  }
}

/** The tokens without comments. */
export function codeOf(tokens: readonly Token[]): Token[] {
  return tokens.filter((token) => token.kind !== "comment");
}

export interface Import {
  /** As written: "../bytes/ascii.ts", "node:fs", "hashring". */
  readonly specifier: string;
  readonly line: number;
}

/** What a file imports or re-exports: static, dynamic and type-only. */
export function importsOf(code: readonly Token[]): Import[] {
  const found: Import[] = [];
  code.forEach((token, at) => {
    if (token.kind !== "text" || !/^["'`]/.test(token.text)) return;
    const before = code[at - 1];
    const dynamic = before?.text === "(" && code[at - 2]?.text === "import";
    // A string stands after `from` or `import` only in an import or an export.
    const still = before?.kind === "word" && (before.text === "from" || before.text === "import");
    if (dynamic || still) found.push({ specifier: token.text.slice(1, -1), line: token.line });
  });
  return found;
}
