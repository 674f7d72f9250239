// Every scenario by name.
import { companyScenario } from "./company_scenario.ts";
import { directScenario } from "./direct_scenario.ts";
import { echoScenario } from "./echo_scenario.ts";
import { pairScenario } from "./pair_scenario.ts";
import { restartScenario } from "./restart_scenario.ts";
import { ringsScenario } from "./rings_scenario.ts";
import type { Scenario } from "./scenario.ts";

export const SCENARIOS: readonly Scenario[] = [pairScenario("A"), pairScenario("B"), pairScenario("zombie"), pairScenario("calm"), pairScenario("hot"), pairScenario("drift"), pairScenario("fast"), restartScenario(), restartScenario(() => {}, true), companyScenario("two-a"), companyScenario("two-strict"), companyScenario("two-death"), companyScenario("two-workers"), companyScenario("two-drift"), companyScenario("four-a"), companyScenario("four-strict"), companyScenario("four-workers"), ringsScenario(), ringsScenario(() => {}, "rings-workers"), ringsScenario(() => {}, "rings-two"), ringsScenario(() => {}, "rings-faults"), directScenario, echoScenario];

export function scenario(name: string): Scenario | null {
  return SCENARIOS.find((one) => one.name === name) ?? null;
}
