// How uPlot draws a panel: its axes, lines, marks and colours.
(() => {
  "use strict";
  const HEIGHT = 160;
  const DASHES = [[], [], [], [5, 3], [2, 3], [8, 3, 2, 3]];
  const STEPS = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4, 5, 6].map((power) => digit * 10 ** power)).sort((a, b) => a - b);
  // A mark that is further away than this share of the numbers' spread would flatten them.
  const NEAR = 0.5;

  const probe = document.createElement("span");
  probe.hidden = true;

  function colour(token, share = 100) {
    // Tokens are light-dark() pairs: only a computed colour can be drawn on a canvas.
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = share === 100 ? `var(${token})` : `color-mix(in srgb, var(${token}) ${share}%, var(--surface))`;
    return getComputedStyle(probe).color;
  }

  const short = (value) => (value == null ? "–" : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString().replace("-", "−"));

  // 42 s, 12 min, 3 h 05, 2 d 4 h
  function span(seconds) {
    if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return minutes % 60 ? `${hours} h ${String(minutes % 60).padStart(2, "0")}` : `${hours} h`;
    return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
  }

  const two = (number) => String(number).padStart(2, "0");
  const clock = (date, seconds) => `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
  const day = (date) => date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });

  // The hour at each tick, the day where it begins.
  function hours(plot, ticks, axis, space, apart) {
    let before = "";
    return ticks.map((tick) => {
      const date = new Date(tick * 1000);
      const today = day(date);
      const told = apart >= 86400 ? today : today === before ? clock(date, apart < 60) : `${clock(date, apart < 60)}\n${today}`;
      before = today;
      return told;
    });
  }

  const AXES = {
    step: { isTime: false, said: (x) => `step ${Math.round(x).toLocaleString("en")}`, values: (plot, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) },
    time: { isTime: true, said: (x) => { const date = new Date(x * 1000); return `${day(date)}, ${clock(date, true)}`; }, values: hours },
    since: { isTime: false, said: (x) => `after ${span(x)}`, values: (plot, ticks) => ticks.map((tick) => span(tick)) },
  };
  const SPANS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];

  // The levels that lie near enough to be drawn beside the numbers.
  function widened(low, high, marks) {
    const spread = high - low || Math.abs(high) || 1;
    for (const { value } of marks) {
      if (value > high && value - high < NEAR * spread) high = value;
      if (value < low && low - value < NEAR * spread) low = value;
    }
    return [low, high];
  }

  function isNear(value, low, high) {
    const [bottom, top] = widened(low, high, [{ value }]);
    return value >= bottom && value <= top;
  }

  function drawMarks(plot, marks) {
    const { ctx, bbox } = plot;
    const dots = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = colour("--unmet");
    ctx.lineWidth = dots;
    ctx.setLineDash([4 * dots, 3 * dots]);
    ctx.font = `${11 * dots}px Plex, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const { value, label } of marks) {
      const y = plot.valToPos(value, "y", true);
      if (!(y >= bbox.top - 1 && y <= bbox.top + bbox.height + 1)) continue;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      // On a ground of its own: lines may run behind it.
      const right = bbox.left + bbox.width;
      const wide = ctx.measureText(label).width + 6 * dots;
      const top = y - bbox.top < 16 * dots ? y + 2 * dots : y - 15 * dots;
      ctx.globalAlpha = 0.86;
      ctx.fillStyle = colour("--surface");
      ctx.fillRect(right - wide, top, wide, 13 * dots);
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour("--unmet");
      ctx.fillText(label, right - 3 * dots, top + 7 * dots);
    }
    ctx.restore();
  }

  // `lines` are {label, slot, dash}; with `isBacked` each has its raw numbers faint behind it.
  function options({ lines, shape, width, axis, isLog, isBacked, isSingle, marks, hooks, select, reset }) {
    const look = { stroke: colour("--ink3"), font: "11px Plex, sans-serif", grid: { stroke: colour("--line"), width: 0.6 }, ticks: { show: false } };
    const isPiled = shape !== "lines";
    const points = { show: isSingle };
    const sharp = lines.map(({ label, slot, dash }) => {
      const ink = colour(`--c${slot}`);
      const line = { label, stroke: ink, width: 1.6, dash: DASHES[dash], points };
      if (isPiled) Object.assign(line, { fill: colour(`--c${slot}`, 62), dash: [], width: shape === "bars" ? 0 : 1, points: { show: false } });
      if (shape === "bars") line.paths = uPlot.paths.bars({ size: [0.72, 48] });
      return line;
    });
    const faint = isBacked ? lines.map(({ label, slot }) => ({ label, stroke: colour(`--c${slot}`, 26), width: 1, points: { show: false } })) : [];
    const edge = shape === "bars" ? 0.5 : 0;
    const { isTime, values } = AXES[axis];
    const y = isPiled
      ? { range: (plot, low, high) => [0, high > 0 ? high * 1.05 : 1] }
      : isLog
        ? { distr: 3, range: (plot, low, high) => (low > 0 ? uPlot.rangeLog(low, high, 10, false) : [0.1, 1]) }
        : { range: (plot, low, high) => (low == null ? [0, 1] : uPlot.rangeNum(...widened(low, high, marks), 0.08, true)) };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, isTime ? 18 : 22, 0, 0],
      focus: { alpha: 1 },
      cursor: {
        sync: { key: `kos ${axis}`, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        points: { size: 5, show: !isPiled },
        drag: { x: true, y: false, setScale: false, dist: 6 },
        bind: { dblclick: () => () => { reset(); return null; } },
      },
      hooks: {
        setCursor: [hooks.cursor],
        setSelect: [(plot) => {
          if (plot.select.width < 6) return;
          const from = plot.posToVal(plot.select.left, "x");
          const to = plot.posToVal(plot.select.left + plot.select.width, "x");
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          select(from, to);
        }],
        draw: [(plot) => drawMarks(plot, marks)],
      },
      scales: {
        x: { time: isTime, ...(edge && { range: (plot, low, high) => [low - edge, high + edge] }) },
        y,
      },
      axes: [
        { ...look, size: isTime ? 38 : 24, space: isTime ? 56 : 52, values, ...(axis === "step" && { incrs: STEPS }), ...(axis === "since" && { incrs: SPANS }) },
        { ...look, size: 52, space: 28, values: (plot, ticks) => ticks.map((tick) => (tick == null ? "" : short(tick))) },
      ],
      series: [{}, ...faint, ...(isPiled ? sharp.reverse() : sharp)],
    };
  }

  Object.assign(window.kos, { plots: { HEIGHT, options, isNear, short, AXES } });
})();
