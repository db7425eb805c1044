# Names of emoji for the page, out of the table of golang-github-kyokomi-emoji-dev (a line a name, ":smile:": "\U0001f604",). Run with sed -nE.
# Tones of skin are left out: nobody writes them by name, and they are a third of it all.
1i /* Names of emoji: github.com/kyokomi/emoji, (c) 2014 kyokomi, MIT licence. */
1i export default {
/_tone[1-5_]*:|_skin_tone/d
/^[[:space:]]*":[a-z0-9_+-]+:": *"[0-9#*]?(\\[uU][0-9a-f]+)+",$/ {
    s/":(.*):": *"/"\1":"/
    s/\\U000([0-9a-f]{5})/\\u{\1}/g
    s/^[[:space:]]*//
    p
}
$i }
