package org.legodnn.ktx

import kotlin.coroutines.CoroutineContext
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.withContext
import org.legodnn.Budget
import org.legodnn.LegoRuntime
import org.legodnn.Plan
import org.legodnn.PlanListener
import org.legodnn.PlanSwitch

/**
 * Run one inference of a model with one input and one output; [LegoRuntime.infer] without blocking the caller's thread.
 * One that has begun ends even if the coroutine is cancelled.
 *
 * @param on where it runs
 */
public suspend fun LegoRuntime.awaitInference(
    model: String,
    input: FloatArray,
    on: CoroutineContext = Dispatchers.Default,
): FloatArray = withContext(on) { infer(model, input) }

/**
 * Re-plan for another budget, and switch; [LegoRuntime.setBudget] without blocking the caller's thread. A switch that
 * has begun ends even if the coroutine is cancelled.
 *
 * @param on where it plans and loads
 */
public suspend fun LegoRuntime.awaitBudget(budget: Budget, on: CoroutineContext = Dispatchers.IO): PlanSwitch =
    withContext(on) { setBudget(budget) }

/**
 * The running plan, and every later one; whoever is slow gets the latest. It fails with a
 * [org.legodnn.ClosedException] if the runtime is closed when it is collected, and never ends by itself.
 */
public fun LegoRuntime.plans(): Flow<Plan> = channelFlow {
    val listener = PlanListener { trySend(it) }
    try {
        withContext(Dispatchers.IO) { addPlanListener(listener) } // waits for a switch that is on its way
        awaitCancellation()
    } finally {
        removePlanListener(listener)
    }
}.conflate()
