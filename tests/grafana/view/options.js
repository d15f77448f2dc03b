// The options of a field: without these entries Grafana ignores them.
import {
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  numberOverrideProcessor,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';

export const option = (id, process = identityOverrideProcessor) => ({
  id,
  path: id,
  name: id,
  process,
  editor: () => null,
  override: () => null,
  shouldApply: () => true,
});

export const STANDARD_OPTIONS = [
  option('color'),
  option('decimals', numberOverrideProcessor),
  option('displayName', displayNameOverrideProcessor),
  option('links', dataLinksOverrideProcessor),
  option('mappings', valueMappingsOverrideProcessor),
  option('max', numberOverrideProcessor),
  option('min', numberOverrideProcessor),
  option('noValue'),
  option('thresholds', thresholdsOverrideProcessor),
  option('unit', unitOverrideProcessor),
];
