// Every scenario by name.
import { echoScenario } from "./echo_scenario.ts";
import type { Scenario } from "./scenario.ts";

export const SCENARIOS: readonly Scenario[] = [echoScenario];

export function scenario(name: string): Scenario | null {
  return SCENARIOS.find((one) => one.name === name) ?? null;
}
