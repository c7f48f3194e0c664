#: title: chromium, headless: a screenshot of a drawn page (its own allocator, zygotes, sandbox off)
#: modes: default follow exact
#: seconds: 400
"$HERE/need" /usr/bin/chromium chromium
export HOME=$WORK
cat >page.html <<'END'
<canvas id=c width=300 height=200></canvas><script>
const g = c.getContext("2d"); for (let i = 0; i < 5000; i++) { g.fillStyle = `hsl(${i % 360} 80% 50%)`; g.fillRect(i % 300, (i * 7) % 200, 9, 9); }
document.body.append([...Array(20000).keys()].reduce((a, b) => (a * 31 + b) >>> 0, 7));
</script>
END
$RUN chromium --headless --no-sandbox --disable-gpu --user-data-dir="$WORK/profile" --window-size=400,300 \
    --virtual-time-budget=2000 --screenshot="$WORK/page.png" "file://$WORK/page.html" >&2
sha256sum page.png | cut -c1-64
