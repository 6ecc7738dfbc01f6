// Formulas: KaTeX writes them in the place of their source. One that it does not understand stays as it is, in red.
document.querySelectorAll(".formula").forEach(element => {
  try {
    katex.render(element.textContent, element, {displayMode: element.matches(".display-formula"), strict: false})
  } catch (error) {
    element.classList.add("katex-error")
    element.title = error.message
  }
})

// A formula in a line scrolls only if a part that cannot be broken is wider than the page: it then loses its baseline.
const markWide = () => document.querySelectorAll(".formula:not(.display-formula)").forEach(element => {
  element.classList.remove("wide")
  const block = element.closest("p, li, td, th, dd, h1, h2, h3, h4, nav") || element.parentElement
  const room = block.clientWidth
  element.classList.toggle("wide", [...element.querySelectorAll(".base")].some(part => part.offsetWidth > room))
})
document.fonts.ready.then(markWide)
addEventListener("resize", markWide)
