// Puts a chart to look into in the place of the one that the server drew: latency by phase, over the chosen window.
// When page.js has fetched the page anew, the chart stays and gets the new points.
"use strict";

(() => {
  const HEIGHT = 260; // pixels
  let plot = null; // { chart, history, phases, parts }

  // The areas lie upon each other: a series is the sum of its phase and of those before it. A point is as long as its
  // step, and where nothing was measured nothing is drawn.
  function stack(points, phases, step) {
    const times = [];
    const parts = phases.map(() => []);
    const sums = phases.map(() => []);
    function add(time, values) {
      let sum = 0;
      times.push(time);
      values.forEach((part, index) => {
        parts[index].push(part);
        sums[index].push(part === null ? null : (sum += part));
      });
    }
    const measured = points.filter((point) => point.latency !== null);
    measured.forEach((point, index) => {
      const time = Date.parse(point.at) / 1000;
      const values = phases.map((phase) => point.phases[phase] ?? 0);
      add(time, values);
      const next = measured[index + 1];
      if (next && Date.parse(next.at) / 1000 - time < 1.5 * step) return;
      add(time + step, values);
      add(time + step + 0.001, phases.map(() => null));
    });
    return { parts, data: [times, ...sums] };
  }

  function span(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    return seconds < 1 ? `${Number((seconds * 1000).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;
  }

  function moment(at) {
    return at === null ? "–" : new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ");
  }

  // A clock for a day, days for more.
  function moments(seconds, all) {
    const format = seconds <= 86400 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { day: "numeric", month: "short" };
    const text = new Intl.DateTimeFormat("en-GB", { ...format, timeZone: "UTC" });
    return all.map((at) => text.format(new Date(at * 1000)));
  }

  function size(figure) {
    const style = getComputedStyle(figure);
    return { width: figure.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight), height: HEIGHT };
  }

  // A canvas knows no stylesheet: its colours are those of what the server drew.
  function options(figure, keys) {
    const soft = getComputedStyle(figure.querySelector("figcaption"));
    const grid = { stroke: getComputedStyle(figure).borderTopColor, width: 1 };
    const axis = { stroke: soft.color, font: `${soft.fontSize} ${soft.fontFamily}`, grid, ticks: { show: false } };
    const series = keys.map((key, index) => ({
      label: key.parentNode.textContent,
      fill: getComputedStyle(key).color,
      points: { show: false },
      value: (_, __, ___, at) => span(at === null ? null : plot.parts[index][at]),
    }));
    return {
      ...size(figure),
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      cursor: { y: false, points: { show: false } },
      legend: { markers: { width: 0, fill: (_, index) => getComputedStyle(keys[index - 1]).color } },
      scales: { x: { range: () => [Date.now() / 1000 - figure.dataset.seconds, Date.now() / 1000] }, y: { range: (_, __, high) => [0, (high || 0.001) * 1.05] } },
      axes: [{ ...axis, values: (_, all) => moments(figure.dataset.seconds, all) }, { ...axis, size: 64, values: (_, all) => all.map(span) }],
      bands: series.slice(1).map((_, index) => ({ series: [index + 2, index + 1] })),
      series: [{ label: "UTC", value: (_, at) => moment(at) }, ...series],
    };
  }

  async function show() {
    const figure = document.querySelector(".chart");
    if (!figure) return;
    const keys = [...figure.querySelectorAll("figcaption i")];
    const phases = keys.map((key) => key.parentNode.textContent);
    const history = figure.dataset.history;
    const stays = plot && plot.history === history && plot.phases.join() === phases.join();
    if (stays) put(figure);
    const answer = await fetch(history);
    if (!answer.ok || !figure.isConnected) return;
    const { points, step } = await answer.json();
    const { data, parts } = stack(points, phases, step);
    if (stays) {
      plot.parts = parts;
      plot.chart.setData(data);
      return;
    }
    plot?.chart.destroy();
    plot = { history, phases, parts };
    plot.chart = new uPlot(options(figure, keys), data);
    put(figure);
  }

  function put(figure) {
    figure.querySelector("svg").replaceWith(plot.chart.root);
    figure.querySelector(".ends").hidden = true; // the chart has an axis and a legend of its own
    figure.querySelector("figcaption > span").hidden = true;
  }

  document.addEventListener("replaced", show);
  window.addEventListener("resize", () => plot?.chart.setSize(size(document.querySelector(".chart"))));
  // What is painted keeps its colours.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
  show();
})();
