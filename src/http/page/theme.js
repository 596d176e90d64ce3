// Before anything is painted: light or dark, if somebody chose.
try {
  const theme = localStorage.getItem('jackalope.theme')
  if (theme) document.documentElement.dataset.theme = theme
} catch {
  // storage is switched off: the system's choice
}
