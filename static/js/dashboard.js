/* Draws the charts of the dashboard with Chart.js from the JSON beside each canvas.

   The words, the table and the summary are in the page already: without this script, and for a screen
   reader, nothing is missing. Colours come from the tokens of the theme and follow it. A drawing is
   {kind: "stacked" | "bars" | "lines" | "intervals", unit: "count" | "percent" | "minutes" | "index",
   labels, series: [{name, tone, values}], limit, points, across}; a value of "intervals" is
   [value, low, high]. */

const holder = document.querySelector("[data-charts]");
const STYLES = ["circle", "rectRot", "triangle", "rect"];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
const MINUTES = [[1440, "textD"], [60, "textH"], [1, "textMin"], [1 / 60, "textS"]];
const language = document.documentElement.lang || "en";
const SPOTS = [1 / 60, 1 / 6, 1, 10, 60, 360, 1440, 4320, 10080, 43200, 525600]; // minutes on a log axis
const drawn = [];

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--fs-${name}`).trim();
const plain = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });

function written(value, unit) {
  if (value === null || value === undefined) return "";
  if (unit === "percent") return `${plain.format(Math.round(1000 * value) / 10)} %`;
  if (unit !== "minutes") return plain.format(value);
  const [size, name] = MINUTES.find(([length]) => value >= length) ?? MINUTES.at(-1);
  return holder.dataset[name].replace("{n}", plain.format(Math.round((10 * value) / size) / 10));
}

/* The estimate on the bar of its interval. */
const estimates = {
  id: "estimates",
  afterDatasetsDraw(chart) {
    const across = chart.options.indexAxis === "y";
    const scale = chart.scales[across ? "x" : "y"];
    for (const [at, dataset] of chart.data.datasets.entries()) {
      if (!dataset.estimates || !chart.isDatasetVisible(at)) continue;
      chart.ctx.fillStyle = token("ink");
      for (const [place, bar] of chart.getDatasetMeta(at).data.entries()) {
        const value = dataset.estimates[place];
        if (value === null) continue;
        const along = scale.getPixelForValue(value);
        const [x, y] = across ? [along, bar.y] : [bar.x, along];
        chart.ctx.beginPath();
        chart.ctx.arc(x, y, 3.5, 0, 2 * Math.PI);
        chart.ctx.fill();
      }
    }
  },
};

function limitLine(limit, count) {
  const colour = token("quiet");
  return {
    type: "line", label: limit.name, data: Array(count).fill(limit.value), borderColor: colour,
    backgroundColor: colour, borderDash: [4, 4], borderWidth: 1, pointRadius: 0,
  };
}

function datasets(drawing) {
  const sets = drawing.series.map((series, at) => {
    const colour = token(series.tone);
    const base = { label: series.name, borderColor: colour, backgroundColor: colour };
    if (drawing.kind === "lines") {
      const style = { pointStyle: STYLES[at % 4], borderDash: DASHES[at % 4], pointRadius: 4, borderWidth: 2 };
      return { ...base, ...style, data: series.values, spanGaps: true };
    }
    if (drawing.kind === "intervals") {
      const data = series.values.map(([value, low, high]) => (value === null ? null : [low, high]));
      const estimate = series.values.map(([value]) => value);
      return { ...base, data, estimates: estimate, borderSkipped: false, barPercentage: 0.5, maxBarThickness: 14 };
    }
    return { ...base, data: series.values, maxBarThickness: 36 };
  });
  if (drawing.limit) sets.push(limitLine(drawing.limit, drawing.labels.length));
  if (drawing.points) {
    const colour = token(drawing.points.tone);
    sets.unshift({
      type: "line", label: drawing.points.name, data: drawing.points.values, showLine: false, borderColor: colour,
      backgroundColor: colour, pointStyle: "rectRot", pointRadius: 5,
    });
  }
  return sets;
}

function axis(drawing, isValue) {
  const shared = { grid: { color: isValue ? token("line") : "transparent" }, border: { color: token("line-strong") } };
  const ticks = { color: token("quiet") };
  if (!isValue) return { ...shared, stacked: drawing.kind === "stacked", ticks: { ...ticks, maxRotation: 0, autoSkip: drawing.kind !== "bars" && !drawing.across } };
  const log = drawing.unit === "minutes";
  if (drawing.unit === "count") ticks.precision = 0;
  ticks.callback = (value) => written(value, drawing.unit);
  if (log) {
    ticks.autoSkip = true;
    ticks.maxRotation = 0;
    shared.afterBuildTicks = (scale) => {
      scale.ticks = SPOTS.filter((spot) => spot >= scale.min && spot <= scale.max).map((value) => ({ value }));
    };
  }
  const range = drawing.unit === "percent" && drawing.across ? { min: 0, max: 1 } : { beginAtZero: !log };
  return { ...shared, ...range, type: log ? "logarithmic" : "linear", stacked: drawing.kind === "stacked", ticks };
}

function hint(drawing) {
  return (item) => {
    const set = item.dataset;
    const spot = item.dataIndex;
    if (!set.estimates) return `${set.label}: ${written(item.parsed[drawing.across || drawing.kind === "bars" ? "x" : "y"], drawing.unit)}`;
    const [low, high] = set.data[spot];
    return `${set.label}: ${written(set.estimates[spot], drawing.unit)} (${written(low, drawing.unit)} – ${written(high, drawing.unit)})`;
  };
}

function options(drawing) {
  const across = drawing.kind === "bars" || drawing.across === true;
  return {
    indexAxis: across ? "y" : "x",
    responsive: true,
    maintainAspectRatio: false,
    animation: false,
    locale: language,
    interaction: { mode: "nearest", axis: across ? "y" : "x", intersect: false },
    scales: { [across ? "x" : "y"]: axis(drawing, true), [across ? "y" : "x"]: axis(drawing, false) },
    plugins: {
      legend: {
        display: drawing.series.length > 1 || Boolean(drawing.points || drawing.limit),
        position: "bottom",
        rtl: document.documentElement.dir === "rtl",
        labels: { color: token("ink"), usePointStyle: drawing.kind === "lines", boxHeight: 8 },
      },
      tooltip: { callbacks: { label: hint(drawing) } },
    },
  };
}

function draw(canvas) {
  const drawing = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  const type = drawing.kind === "lines" ? "line" : "bar";
  const chart = new window.Chart(canvas, {
    type,
    data: { labels: drawing.labels, datasets: datasets(drawing) },
    options: options(drawing),
    plugins: [estimates],
  });
  drawn.push([chart, drawing]);
}

function recolour() {
  for (const [chart, drawing] of drawn) {
    chart.data.datasets = datasets(drawing);
    chart.options = options(drawing);
    chart.update("none");
  }
}

if (holder) {
  const font = getComputedStyle(document.body);
  window.Chart.defaults.font.family = font.fontFamily;
  for (const canvas of holder.querySelectorAll("canvas[data-chart]")) draw(canvas);
  holder.dataset.drawn = String(drawn.length);
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  addEventListener("beforeprint", () => drawn.forEach(([chart]) => chart.resize()));
}
