// A dashboard's JSON as a scene.
import {
  DataSourceVariable,
  EmbeddedScene,
  QueryVariable,
  SceneControlsSpacer,
  SceneDataTransformer,
  SceneGridItem,
  SceneGridLayout,
  SceneGridRow,
  SceneQueryRunner,
  SceneTimePicker,
  SceneTimeRange,
  SceneVariableSet,
  TextBoxVariable,
  VariableValueSelectors,
  VizPanel,
} from '@grafana/scenes';

const VARIABLES = {
  datasource: ({ name, label, query }) => new DataSourceVariable({ name, label, pluginId: query }),
  textbox: ({ name, label, query }, value) => new TextBoxVariable({ name, label, value: value ?? query }),
  query: ({ multi, current, ...rest }, value = current?.value ?? '') => {
    const { name, label, query, datasource, includeAll, allValue, sort } = rest;
    return new QueryVariable({ name, label, query, datasource, includeAll, allValue, sort, isMulti: multi, value });
  },
};

function panel({ id, type, title, description, options, fieldConfig, targets, datasource, transformations = [] }) {
  const queries = new SceneQueryRunner({ queries: targets, datasource });
  return new VizPanel({
    key: `panel-${id}`,
    pluginId: type,
    title,
    description,
    options,
    fieldConfig,
    $data: new SceneDataTransformer({ $data: queries, transformations }),
  });
}

export function scene({ panels, templating, time }, values = {}) {
  const children = panels.map((one) => {
    const { x, y, w: width, h: height } = one.gridPos;
    return one.type === 'row'
      ? new SceneGridRow({ key: `row-${one.id}`, title: one.title, x, y, isCollapsible: true })
      : new SceneGridItem({ key: `item-${one.id}`, x, y, width, height, body: panel(one) });
  });
  return new EmbeddedScene({
    $timeRange: new SceneTimeRange({ ...time }),
    $variables: new SceneVariableSet({
      variables: templating.list.map((one) => VARIABLES[one.type](one, values[one.name])),
    }),
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({})],
    body: new SceneGridLayout({ children }),
  });
}
