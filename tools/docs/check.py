"""Opens every page of the site in headless Chromium, as a reader would, and names what is wrong with it.

    check.py [SITE] [--pages REGEX]

Each page at the width of a desk and of a phone, light and dark. Faults are printed as PAGE: FAULT; exits 1 if any.
Nothing outside the site can be reached meanwhile.
"""
import argparse
import pathlib
import re
import sys
import urllib.parse

from browser import Browser

DESK, PHONE = (1280, 900), (390, 844)
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"  # until two are drawn

# What is asked of a page, in the page. The first finds what does not depend on size and colours.
LOOK = r"""
(async () => {
  const still = document.createElement("style")
  still.textContent = "*, ::before, ::after { transition: none !important; animation: none !important }"
  document.head.append(still)
  await document.fonts.ready
  const faults = [], missing = []
  const where = e => (e.textContent || e.outerHTML).trim().replace(/\s+/g, " ").slice(0, 60)
  const article = document.querySelector("article") || document.body

  for (const e of document.querySelectorAll(".katex-error"))
    faults.push(`a formula that KaTeX does not understand: ${e.title.slice(0, 120)} in ${where(e)}`)
  for (const e of document.querySelectorAll(".formula:not(.katex-error)"))
    if (!e.querySelector(".katex")) faults.push(`a formula that is not rendered: ${where(e)}`)
    else if (getComputedStyle(e).float !== "none") faults.push(`a formula that has left its line: ${where(e)}`)
  for (const e of document.querySelectorAll("code.language-math, .language-math code"))
    faults.push(`a formula that is not rendered: ${where(e)}`)
  const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement
    if (!parent.closest("code, pre, .formula, script, style") && /\$|\\[(\[]/.test(texts.currentNode.data))
      faults.push(`a formula that is not rendered: ${where(texts.currentNode)}`)
  }

  for (const image of document.images) {
    image.loading = "eager"
    await image.decode().catch(() => {})
    if (!image.naturalWidth) {
      faults.push(`a missing figure: ${image.getAttribute("src")}`)
      missing.push(image.src)
    }
    if (!image.alt && article.contains(image))
      faults.push(`a figure without a description: ${image.getAttribute("src")}`)
  }
  for (const block of article.querySelectorAll("pre > code"))
    if (!block.parentElement.querySelector("button[data-clipboard-target], .md-clipboard, nav button"))
      faults.push(`code without a button to copy it: ${where(block)}`)

  // Chinese: a character for which there is no font looks like one that no font has.
  const draw = text => {
    const canvas = new OffscreenCanvas(24, 24), context = canvas.getContext("2d")
    context.font = `16px ${getComputedStyle(article).fontFamily}`
    context.fillText(text, 2, 18)
    return context.getImageData(0, 0, 24, 24).data.join()
  }
  const empty = draw("\u{10fffd}")
  const chinese = new Set(article.textContent.match(/[\u2e80-\u9fff\uf900-\uffef]/g) || [])
  const boxes = [...chinese].filter(character => draw(character) === empty)
  if (boxes.length) faults.push(`no font for ${boxes.slice(0, 20).join("")}`)

  return {
    faults,
    missing,
    links: [...document.querySelectorAll("a[href], link[href], script[src], img[src]")].map(e =>
      ({written: e.getAttribute("href") || e.getAttribute("src"), url: e.href || e.src, link: e.matches("a[href]")})),
    anchors: [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name),
    next: !!document.querySelector(".md-footer__link--next, .md-footer__link--prev"),
    chapter: /\/tutorials\/ch\d\d_[^/]*\/index.html$/.test(location.pathname),
  }
})()
"""

# What sticks out on the right, where it can neither be scrolled to nor is meant to be hidden.
WIDE = r"""
(() => {
  const width = document.documentElement.clientWidth
  if (document.documentElement.scrollWidth <= width) return null
  const scrolls = e => {
    for (let up = e.parentElement; up && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return true
    return false
  }
  const wide = [...document.querySelectorAll("article *")].filter(e =>
    e.getBoundingClientRect().right > width + 1 && !scrolls(e)).pop()
  return `${document.documentElement.scrollWidth} px wide` +
    (wide ? `: <${wide.tagName.toLowerCase()}> ${wide.textContent.trim().replace(/\s+/g, " ").slice(0, 60)}` : "")
})()
"""

# Text whose colour is too close to what is behind it (WCAG 2, 1.4.3, asks for 4.5; large text for 3).
PALE = r"""
(() => {
  const parse = colour => (colour.match(/[\d.]+/g) || []).map(Number)
  const light = colour => colour.slice(0, 3).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
  const over = ([r, g, b, a = 1], back) => [r, g, b].map((v, i) => v * a + back[i] * (1 - a))
  const behind = e => {
    if (!e) return [255, 255, 255]
    const colour = parse(getComputedStyle(e).backgroundColor)
    return colour[3] === 0 ? behind(e.parentElement) : over(colour, behind(e.parentElement))
  }
  const found = []
  const article = document.querySelector("article") || document.body
  for (const e of article.querySelectorAll("p, li, td, th, h1, h2, h3, h4, a, code, pre span, summary")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest(".headerlink")) continue
    const back = behind(e), text = over(parse(getComputedStyle(e).color), back)
    const [a, b] = [light(text), light(back)].sort((x, y) => y - x)
    const ratio = (a + .05) / (b + .05)
    if (ratio < 3) found.push(`${ratio.toFixed(1)} to 1: ${e.textContent.trim().slice(0, 40)}`)
  }
  return {pale: found.slice(0, 1), paper: light(behind(document.body))}
})()
"""

SEARCH = r"""
(async () => {
  document.querySelector("[data-md-toggle=search]").click()
  const query = document.querySelector("[data-md-component=search-query]")
  query.focus()
  query.value = WORD
  for (let i = 0; i < 300; ++i) {
    query.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}))
    query.dispatchEvent(new InputEvent("input", {bubbles: true}))
    await new Promise(done => setTimeout(done, 100))
    const results = document.querySelectorAll(".md-search-result__link")
    if (results.length) return results.length
  }
  return 0
})()
"""


class Check:
    def __init__(self, site, only=""):
        self.site = site
        self.pages = [page for page in sorted(site.rglob("*.html")) if re.search(only, self.name(page))]
        self.faults, self.links, self.anchors = [], [], {}
        self.browser = Browser()

    def name(self, page):
        return page.relative_to(self.site).as_posix()

    def fault(self, page, text):
        self.faults.append(f"{self.name(page)}: {text}")
        print(self.faults[-1], flush=True)

    def events(self, page, known=()):
        """What the browser complained of since the page was opened, but for addresses that are `known` to fail."""
        for event in self.browser.events:
            method, about = event["method"], event.get("params", {})
            if method == "Runtime.exceptionThrown":
                details = about["exceptionDetails"]
                self.fault(page, "a script failed: " + details.get("exception", {}).get("description", details["text"])
                           .split("\n")[0])
            elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
                words = (str(argument.get("value", argument.get("description", ""))) for argument in about["args"])
                self.fault(page, "console: " + " ".join(words))
            elif method == "Log.entryAdded" and about["entry"]["level"] == "error" and \
                    about["entry"].get("url") not in known:
                self.fault(page, f"console: {about['entry']['text']} {about['entry'].get('url', '')}")
            elif method == "Network.requestWillBeSent" and about["request"]["url"].startswith(("http:", "https:")):
                self.fault(page, f"asks the network for {about['request']['url']}")
        self.browser.events.clear()

    def look(self, page):
        browser = self.browser
        browser.size(*DESK)
        browser.scheme("light")
        browser.open(page.as_uri())
        found = browser.run(LOOK)
        for fault in dict.fromkeys(found["faults"]):
            self.fault(page, fault)
        if found["chapter"] and not found["next"]:
            self.fault(page, "has neither a previous nor a next page")
        self.anchors[page] = set(found["anchors"])
        self.links += [(page, link) for link in found["links"] if link["url"] not in found["missing"]]
        paper = {}
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            browser.run(FRAMES)
            colours = browser.run(PALE)
            paper[scheme] = colours["paper"]
            for text in colours["pale"]:
                self.fault(page, f"text that can hardly be read when {scheme}: {text}")
        if not paper["light"] > 0.5 > paper["dark"]:
            self.fault(page, "does not become dark")
        browser.size(*PHONE)
        browser.run(FRAMES)
        if wide := browser.run(WIDE):
            self.fault(page, f"scrolls sideways at {PHONE[0]} px: {wide}")
        self.events(page, found["missing"])

    def follow(self):
        """Where the links lead."""
        for page, link in self.links:
            url = urllib.parse.urlsplit(link["url"])
            if url.scheme != "file":
                if not link["link"] and url.scheme not in ("data", "blob"):
                    self.fault(page, f"is not complete without the network: {link['written']}")
                continue
            target = pathlib.Path(urllib.parse.unquote(url.path))
            if target.is_dir():  # a server would show its index; the file system does not
                self.fault(page, f"a link to a folder: {link['written']}")
            elif not target.exists() or self.site not in target.parents:
                self.fault(page, f"a broken link: {link['written']}")
            elif url.fragment and target in self.anchors and \
                    urllib.parse.unquote(url.fragment) not in self.anchors[target] | {"__tabbed", ""}:
                self.fault(page, f"a link to a place that is not there: {link['written']}")

    def search(self, word):
        start = self.site / "index.html"
        self.browser.size(*DESK)
        self.browser.open(start.as_uri())
        if not self.browser.run(SEARCH.replace("WORD", repr(word))):
            self.fault(start, f"the search does not find {word}")
        self.events(start)

    def run(self):
        for i, page in enumerate(self.pages):
            if sys.stdout.isatty():
                print(f"\r{i + 1} of {len(self.pages)}", end="\r")
            self.look(page)
        self.follow()
        self.search("gradus")
        self.browser.close()
        print(f"{len(self.pages)} pages, {len(self.links)} links, {len(self.faults)} faults")
        return not self.faults


def main():
    parser = argparse.ArgumentParser(description="Checks the site in headless Chromium.")
    parser.add_argument("site", nargs="?", type=pathlib.Path, default=pathlib.Path("build/site"))
    parser.add_argument("--pages", default="", metavar="REGEX", help="only pages whose path matches")
    args = parser.parse_args()
    site = args.site.resolve()
    if not (site / "index.html").exists():
        sys.exit(f"error: there is no site in {site}; ./run docs makes it")
    return 0 if Check(site, args.pages).run() else 1


if __name__ == "__main__":
    sys.exit(main())
