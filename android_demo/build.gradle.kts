import com.android.build.api.dsl.LibraryExtension

plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.kotlin.android) apply false
}

val versions = libs.versions

// What the libraries have in common. Each is published under its project's name, and says in its description what it is.
subprojects {
    plugins.withId("com.android.library") {
        extensions.configure<LibraryExtension> {
            compileSdk = versions.compileSdk.get().toInt()
            defaultConfig.minSdk = versions.minSdk.get().toInt()
            compileOptions.sourceCompatibility = JavaVersion.VERSION_1_8
            compileOptions.targetCompatibility = JavaVersion.VERSION_1_8
            publishing.singleVariant("release") {
                withSourcesJar()
                withJavadocJar()
            }
        }
    }
    plugins.withId("maven-publish") {
        extensions.configure<PublishingExtension> {
            publications.register<MavenPublication>("release") {
                groupId = "org.legodnn"
                artifactId = project.name
                version = versions.library.get()
                afterEvaluate { from(components["release"]) }
                pom {
                    name = project.name
                    description = provider { project.description }
                    licenses {
                        license {
                            name = "Apache-2.0"
                            url = "https://www.apache.org/licenses/LICENSE-2.0"
                        }
                    }
                }
            }
        }
    }
}
