// The kinds of panel, each with the options of a field that only it has. Grafana publishes the parts of its panels, but
// not the panels, and no part of the state timeline.
import { cacheFieldDisplayNames, dateTimeFormat, getFieldDisplayName, getFieldDisplayValues } from '@grafana/data';
import { BigValue, TimeSeries, useTheme2, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

const Empty = ({ text = 'No data' }) => (
  <div style={{ display: 'grid', placeItems: 'center', height: '100%' }}>{text}</div>
);

function Lines({ data, options, fieldConfig, width, height, timeRange, timeZone }) {
  if (!data.series.length) return <Empty text={fieldConfig.defaults.noValue} />;
  return (
    <TimeSeries
      frames={data.series}
      options={options}
      legend={options.legend}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone={timeZone}
    />
  );
}

function Numbers({ data, options, fieldConfig, width, height, replaceVariables, timeZone, renderCounter }) {
  const theme = useTheme2();
  const reduceOptions = { calcs: ['lastNotNull'] };
  const getValues = () =>
    getFieldDisplayValues({ data: data.series, fieldConfig, reduceOptions, replaceVariables, theme, timeZone });
  const { colorMode, graphMode, justifyMode, textMode, orientation } = options;
  const renderValue = ({ value, width, height }) => (
    <BigValue
      theme={theme}
      width={width}
      height={height}
      value={value.display}
      {...{ colorMode, graphMode, justifyMode, textMode }}
    />
  );
  return <VizRepeater {...{ getValues, renderValue, width, height, renderCounter, orientation }} source={data} />;
}

function Rows({ data, options, fieldConfig, width, height, timeRange }) {
  cacheFieldDisplayNames(data.series);
  const [frame] = data.series;
  if (!frame?.length) return <Empty />;
  return (
    <TableNG
      data={frame}
      {...{ width, height, timeRange, fieldConfig }}
      noHeader={!options.showHeader}
      cellHeight={options.cellHeight}
      structureRev={1}
      getActions={() => []}
    />
  );
}

const MINUTE = 60_000;
const STEPS = [1, 5, 10, 30, 60, 180, 360, 1440].map((minutes) => minutes * MINUTE);

// Runs of equal values as blocks of time.
function runs({ fields: [time, { values }] }) {
  const blocks = [];
  values.forEach((value, index) => {
    const [start, end] = [time.values[index], time.values[index] + time.config.interval];
    const last = blocks.at(-1);
    if (last?.value === value && last.end >= start) last.end = end;
    else blocks.push({ value, start, end });
  });
  return blocks;
}

function Timeline({ data, options, width, height, timeRange, timeZone }) {
  const theme = useTheme2();
  if (!data.series.length) return <Empty />;
  const names = data.series.map((frame) => getFieldDisplayName(frame.fields[1], frame, data.series));
  const left = Math.min(width / 3, 8 + 6.5 * Math.max(...names.map((name) => name.length)));
  const [from, to] = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  const x = (time) => ((Math.min(Math.max(time, from), to) - from) / (to - from)) * (width - left);
  const row = (height - 24) / data.series.length;
  const bar = row * options.rowHeight;
  const middle = { y: bar / 2, dominantBaseline: 'central' };
  const apart = STEPS.find((step) => ((to - from) / step) * 60 < width - left) ?? STEPS.at(-1);
  const ticks = Array.from({ length: Math.floor((to - from) / apart) }, (_, index) => (Math.floor(from / apart) + 1 + index) * apart);
  return (
    <svg width={width} height={height} fontSize={12} fill={theme.colors.text.primary}>
      {data.series.map((frame, index) => (
        <g key={index} transform={`translate(0 ${index * row})`}>
          <text {...middle} x={left - 8} textAnchor="end">{names[index]}</text>
          {runs(frame).map(({ value, start, end }) => {
            const { text, color } = frame.fields[1].display(value);
            const size = x(end) - x(start);
            return (
              <g key={start} transform={`translate(${left + x(start)} 0)`}>
                <rect width={Math.max(1, size)} height={bar} fill={color} fillOpacity={0.7} />
                {size > 8 * text.length && <text {...middle} x={4}>{text}</text>}
              </g>
            );
          })}
        </g>
      ))}
      {ticks.map((time) => (
        <text key={time} x={left + x(time)} y={height - 6} textAnchor="middle">
          {dateTimeFormat(time, { format: 'HH:mm', timeZone })}
        </text>
      ))}
    </svg>
  );
}

export const PANELS = {
  stat: { draw: Numbers, own: [] },
  'state-timeline': { draw: Timeline, own: [] },
  table: { draw: Rows, own: ['width', 'cellOptions', 'wrapText'] },
  timeseries: { draw: Lines, own: ['axisSoftMax', 'fillOpacity', 'lineWidth', 'showPoints', 'stacking'] },
};
