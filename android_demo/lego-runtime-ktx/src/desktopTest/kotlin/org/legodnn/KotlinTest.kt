package org.legodnn

import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.legodnn.ktx.awaitBudget
import org.legodnn.ktx.awaitInference
import org.legodnn.ktx.plans

/** Suspending calls and the flow of plans, of runtimes of the Java library's test stores. */
class KotlinTest : RuntimeTestBase() {
    private val small: Budget = memory(9000)

    @Test
    fun inferencesRunOnAnotherThreadAndGiveWhatTheJavaCallGives() = runBlocking {
        open(model(chain)).use { runtime ->
            var ran: Thread? = null
            runtime.setInferenceListener { _, _ -> ran = Thread.currentThread() }
            val output = runtime.awaitInference("chain", RuntimeTestBase.X)
            assertNotEquals(Thread.currentThread(), ran)
            assertArrayEquals(runtime.infer("chain", RuntimeTestBase.X), output, 0f)
        }
    }

    @Test
    fun errorsAreThoseOfTheJavaCalls() {
        open(model(chain)).use { runtime ->
            assertThrows(InputException::class.java) { runBlocking { runtime.awaitInference("chain", FloatArray(1)) } }
            assertThrows(InfeasibleException::class.java) { runBlocking { runtime.awaitBudget(memory(1)) } }
            runtime.close()
            assertThrows(ClosedException::class.java) { runBlocking { runtime.plans().first() } }
        }
    }

    @Test
    fun plansFlowFromTheRunningOneOnUntilNoOneCollectsThem() = runBlocking {
        open(model(chain)).use { runtime ->
            val running = runtime.plan()
            assertSame(running, runtime.plans().first())
            val seen = mutableListOf<Plan>()
            val told = List(2) { CountDownLatch(1) }
            val collecting = launch(Dispatchers.Default) {
                runtime.plans().collect {
                    seen += it
                    told[seen.size - 1].countDown()
                }
            }
            assertTrue(told[0].await(60, TimeUnit.SECONDS))
            runtime.awaitBudget(small)
            assertTrue(told[1].await(60, TimeUnit.SECONDS))
            collecting.cancelAndJoin()
            assertEquals(listOf(running, runtime.plan()), seen)
            val listeners = LegoRuntime::class.java.getDeclaredField("planListeners").apply { isAccessible = true }
            assertEquals(emptyList<PlanListener>(), listeners.get(runtime))
        }
    }

    @Test
    fun whatMayBeNullHasSuchATypeInKotlin() {
        val limit: Double? = small.latencyMs()
        val bytes: Long = checkNotNull(small.memoryBytes())
        assertEquals(null, limit)
        assertEquals(9000L, bytes)
    }
}
