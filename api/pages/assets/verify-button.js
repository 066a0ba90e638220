// <fujie-verify code="…" lang="zh|en">: a link that opens the record of a certificate, or the page to verify one, in a new tab.
// It reads nothing of the page around it, sends nothing, and draws in a shadow of its own.

const HOME = "BASE_URL";
const WORDS = { zh: "核验电子证照", en: "Verify a certificate" };

class FujieVerify extends HTMLElement {
  connectedCallback() {
    const code = (this.getAttribute("code") ?? "").toUpperCase().replaceAll(/[^0-9A-Z]/g, "").slice(0, 16);
    const language = (this.getAttribute("lang") ?? document.documentElement.lang).startsWith("en") ? "en" : "zh";
    const link = document.createElement("a");
    link.href = `${HOME}${code.length === 16 ? `/v/${code}` : "/verify"}?lang=${language}`;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.textContent = WORDS[language];
    const look = new CSSStyleSheet();
    look.replaceSync("a{display:inline-block;padding:.625rem 1rem;border-radius:.625rem;background:#1d4f70;color:#fff;font:600 1rem/1.4 system-ui,sans-serif;text-decoration:none}a:hover{background:#143a54}a:focus-visible{outline:3px solid #1d4f70;outline-offset:3px}");
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [look];
    shadow.replaceChildren(link);
  }
}

customElements.get("fujie-verify") ?? customElements.define("fujie-verify", FujieVerify);
