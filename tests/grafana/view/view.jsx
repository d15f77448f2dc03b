// Draws a dashboard with Grafana's own components: what a Grafana server gives them comes from here.
import {
  createTheme,
  EventBusSrv,
  PanelPlugin,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  ThemeContext,
} from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { config, setAppEvents, setDataSourceSrv, setPluginImportUtils, setRunRequest } from '@grafana/runtime';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import { from } from 'rxjs';
import { option, STANDARD_OPTIONS } from './options';
import { PANELS } from './panels';
import { Prometheus } from './prometheus';
import { scene } from './scene';

const TRANSFORMERS = ['organizeFieldsTransformer', 'joinByFieldTransformer', 'sortByTransformer'];

function plugin(id, { draw, own }) {
  const result = new PanelPlugin(draw);
  result.meta = { id, name: id, info: {} };
  return result.useFieldConfig({
    useCustomConfig: (builder) => own.forEach((name) => builder.addCustomEditor(option(name))),
  });
}

// `prometheus` is a URL, `mode` light or dark, `values` the variables that are not as in the dashboard.
window.draw = async ({ dashboard, prometheus, mode, values }) => {
  await initPluginTranslations('grafana');
  standardFieldConfigEditorRegistry.setInit(() => STANDARD_OPTIONS);
  standardTransformersRegistry.setInit(() =>
    TRANSFORMERS.map((name) => standardTransformers[name]).map((one) => ({
      id: one.id,
      name: one.name,
      transformation: async () => one,
    }))
  );
  const source = new Prometheus(prometheus);
  setDataSourceSrv({
    get: async () => source,
    getInstanceSettings: () => source.instanceSettings,
    getList: () => [source.instanceSettings],
  });
  setRunRequest((_, request) => from(source.answer(request)));
  setAppEvents(new EventBusSrv());
  const plugins = Object.fromEntries(Object.entries(PANELS).map(([id, kind]) => [id, plugin(id, kind)]));
  setPluginImportUtils({ getPanelPluginFromCache: (id) => plugins[id], importPanelPlugin: async (id) => plugins[id] });
  config.theme2 = createTheme({ colors: { mode } });
  const root = scene(dashboard, values);
  createRoot(document.body.appendChild(document.createElement('div'))).render(
    <MemoryRouter>
      <ThemeContext.Provider value={config.theme2}>
        <GlobalStyles />
        <root.Component model={root} />
        <PortalContainer />
      </ThemeContext.Provider>
    </MemoryRouter>
  );
};
