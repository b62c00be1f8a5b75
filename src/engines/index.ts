export type {
  AdapterResult,
  Command,
  Engine,
  EngineCall,
  EngineLoad,
  Exit,
  HttpCall,
  HttpResult,
  Launch,
  ProbeVerdict,
  RerankResult,
  StopStep,
} from './engine.ts'
export { type EngineMetric, readEngineLoad, readEngineMetrics } from './engine-metrics.ts'
export { FAILURE_REASONS, type FailureReason, plainLine } from './failure-classes.ts'
export { type Histogram, histogramOf, parsePrometheusText, type Sample } from './prometheus-text.ts'
export { ENGINES, engineOf } from './registry.ts'
export { readRerankBody } from './rerank.ts'
export type { Problem } from './template-problems.ts'
